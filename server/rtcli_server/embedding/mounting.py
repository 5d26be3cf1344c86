"""Puts the routes of a server into an application of Starlette or FastAPI, and its life into theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

Life: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]


class ApplicationRoute(BaseRoute):
    """Everything that another application serves, at the same paths.

    Not a `Mount`, which would take all paths under its prefix, those included that it answers with 404.
    """

    def __init__(self, served: Starlette) -> None:
        self._served = served

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match what a route of the application matches, and as well as that does."""
        asked = {**scope, "path_params": {}, "fastapi": {}}
        found = {route.matches(asked)[0] for route in self._served.router.routes}
        return next((match for match in (Match.FULL, Match.PARTIAL) if match in found), Match.NONE), {}

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request as if there were no other application around."""
        outside = {"router", "path_params", "endpoint", "route", "fastapi"}
        inside = {name: value for name, value in scope.items() if name not in outside}
        await self._served(inside, receive, send)


def mount(app: Starlette, served: Starlette, life: Life) -> None:
    """Add what `served` serves to `app`, and let `life()` last as long as `app` runs.

    `life` begins before the lifespan of the application, and ends after it: so both ends of that may use it.
    """
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - Starlette's types
        async with life(), inner(running) as state:
            yield state

    app.router.lifespan_context = lifespan
    app.router.routes.append(ApplicationRoute(served))
