"""Routes with what HTTP expects of each: HEAD, all methods in `Allow`, and no redirect to another path."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from rtcli_server.problems import ProblemError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # that a route may have


class HttpRoute(APIRoute):
    """A route of the server. It also answers for the other routes of its path."""

    @override
    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET, and 405 with all methods (RFC 9110, sections 9.3.2 and 10.2.1).

        The router calls this when no route has the method. The server sends no body in answer to HEAD.
        """
        if scope["method"] in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        allowed = [method for method in METHODS if _answers(scope, method)]
        if scope["method"] == "HEAD" and "GET" in allowed:
            await scope["router"].app(_with_method(scope, "GET"), receive, send)
            return
        if "GET" in allowed and "HEAD" not in allowed:
            allowed.insert(1, "HEAD")
        problem = ProblemError(405, headers={"allow": ", ".join(allowed)})
        await Response(problem.body(), 405, problem.headers())(scope, receive, send)


def _with_method(scope: Scope, method: str) -> Scope:
    return {**scope, "method": method, "fastapi": {}, "path_params": {}}


def _answers(scope: Scope, method: str) -> bool:
    asked = _with_method(scope, method)
    return any(route.matches(asked)[0] is Match.FULL for route in scope["router"].routes)


def add_slash_route(router: APIRouter) -> None:
    """Answer 404 for the paths of `router` with a slash at their end, in whatever application it is included.

    Routers redirect them by default: to the Host that the client has sent, with the token of the query.
    """
    served = list(router.routes)

    class SlashRoute(APIRoute):
        """Matches a path that would be served without its last slash."""

        @override
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            match, child_scope = super().matches(scope)
            path = child_scope.get("path_params", {}).get("path")
            if match is Match.NONE or not _serves(served, scope, f"/{path}"):
                return Match.NONE, {}
            return Match.PARTIAL, child_scope  # the application may have this path itself

        @override
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            problem = ProblemError(404)
            await Response(problem.body(), 404, problem.headers())(scope, receive, send)

    async def not_found() -> None:
        """Never called: `handle` answers."""

    router.add_api_route("/{path:path}/", not_found, include_in_schema=False, route_class_override=SlashRoute)


def _serves(routes: Sequence[BaseRoute], scope: Scope, path: str) -> bool:
    asked = {**scope, "path": path, "root_path": "", "path_params": {}, "fastapi": {}}
    return any(route.matches(asked)[0] is not Match.NONE for route in routes)
