"""The server as an object of an application: publish, send, kick, ask who is there.

    realtime = Realtime(Settings(secrets=[SECRET]))
    realtime.mount(app)
    ...
    await realtime.send_to_user("7", "order.paid", {"order": 42})

What it publishes goes the way of the HTTP API, with the rights of an administrator: same checks, same log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.applications import Starlette

from rtcli.protocol.messages import MemberInfo
from rtcli.protocol.messages.strict_json import NotAcceptedError, parse
from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.api import install_problem_handlers
from rtcli_server.api.models import DirectIn, EventIn, MessageIn
from rtcli_server.api.publishing import Publisher, Receipt, checked_room
from rtcli_server.api.reading import shared_store
from rtcli_server.api.router import LOG_TIMEOUT_S
from rtcli_server.app import embedded_router
from rtcli_server.auth.claims import Principal, showable
from rtcli_server.embedding.errors import NotRunningError, translated
from rtcli_server.embedding.mounting import mount
from rtcli_server.hooks import Hooks
from rtcli_server.realtime import RealtimeServer
from rtcli_server.realtime.audience import NOBODY, Queued
from rtcli_server.settings import Settings

APPLICATION = "server"  # the sender of what an application publishes without naming one


class Presence(NamedTuple):
    """Who is in a room: at most 200 members, and the number of all."""

    members: tuple[MemberInfo, ...]
    member_count: int


class Realtime:
    """A realtime server inside an application; its methods are called on the application's event loop.

    It runs while the application does, once. Each method raises NotRunningError before and after that, and
    ValueError for a name, an id or data that the protocol does not allow.
    """

    def __init__(self, settings: Settings, *, hooks: Hooks | None = None) -> None:
        """Open the log and prepare the keys; nothing runs yet. `hooks` are asked what they implement.

        Raises InvalidStoreError, KeyConfigError and InvalidOriginError, each with a text for people.
        """
        self._server = RealtimeServer(settings, hooks)
        self._publisher = Publisher(self._server, timeout_s=LOG_TIMEOUT_S)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_run = False

    def mount(self, app: Starlette) -> None:
        """Serve the endpoints under `/api/v1`, the health checks and the metrics in `app`, while it runs.

        `app` is an application of FastAPI or Starlette. A route that it had before takes precedence.
        """
        served = FastAPI(title="rtcli server", openapi_url=None, redirect_slashes=False)
        served.include_router(embedded_router(self._server))
        install_problem_handlers(served)
        mount(app, served, lambda: self._running(served))

    @asynccontextmanager
    async def _running(self, served: FastAPI) -> AsyncIterator[None]:
        if self._has_run:
            raise NotRunningError(
                "This server has run already: make a new one for each run of an application"
            )
        self._has_run = True
        async with served.router.lifespan_context(served):
            self._loop = asyncio.get_running_loop()
            try:
                yield
            finally:
                self._loop = None

    def _require_running(self) -> None:
        if self._loop is None:
            raise NotRunningError("The server does not run: is it mounted, and does the lifespan of the app?")
        if asyncio.get_running_loop() is not self._loop:
            raise NotRunningError("The server runs on another event loop")

    # -- publishing ----------------------------------------------------------------------------------------

    async def publish(
        self,
        room: str,
        content: str,
        *,
        sender_id: str = APPLICATION,
        sender_name: str = "Server",
        id: str | None = None,  # noqa: A002 - the protocol's name
        exclude_users: Collection[str] = (),
        exclude_connections: Collection[str] = (),
    ) -> Receipt:
        """Publish a message in a room, as `sender_id`; return its position once it is in the log.

        With an `id`, a repeat within five minutes counts once for each sender. No hook is asked. Who is
        excluded (at most 100) gets its position alone, also later. Raises UnavailableError and ConflictError.
        """
        self._require_running()
        exclude = {"users": [*exclude_users], "connections": [*exclude_connections]}
        message = _checked(MessageIn, content=content, id=id, exclude=exclude)
        sender = _principal(sender_id, sender_name)
        with translated():
            started = self._publisher.start_message(
                sender, room, message.content, message.id, exclude=message.exclude
            )
            return await self._publisher.finish(started)

    async def send_to_user(
        self,
        user_id: str,
        event: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the protocol's name
        exclude_connections: Collection[str] = (),
    ) -> Receipt:
        """Publish a personal event: everything that the user has open gets it, and what resumes later.

        `data` is a JSON object of at most 64 KiB. Raises UnavailableError and ConflictError.
        """
        return await self._send(user_id, event, data, id, {"connections": [*exclude_connections]})

    async def broadcast(
        self,
        event: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the protocol's name
        exclude_users: Collection[str] = (),
        exclude_connections: Collection[str] = (),
    ) -> Receipt:
        """Publish an event to everyone; as `send_to_user`."""
        exclude = {"users": [*exclude_users], "connections": [*exclude_connections]}
        return await self._send(None, event, data, id, exclude)

    async def send_to_connection(
        self, connection_id: str, event: str, data: Mapping[str, Any] | None = None
    ) -> Queued:
        """Send an event to one connection; return to how many it was queued: none, when it is not there.

        It is ephemeral: in no log, and dropped by a client that is too slow. Of a connection on another
        instance nobody knows: then `deployment` is None. Raises UnavailableError.
        """
        self._require_running()
        checked = _checked(DirectIn, event=event, data=dict(data or {}))
        sender = _principal(APPLICATION, APPLICATION)
        with translated():
            started = self._publisher.start_direct(sender, connection_id, checked.event, checked.data)
            return NOBODY if started is None else await self._publisher.finish_direct(started)

    async def _send(
        self,
        user_id: str | None,
        event: str,
        data: Mapping[str, Any] | None,
        event_id: str | None,
        exclude: Mapping[str, Sequence[str]],
    ) -> Receipt:
        self._require_running()
        checked = _checked(EventIn, event=event, data=dict(data or {}), id=event_id, exclude=exclude)
        sender = _principal(APPLICATION, APPLICATION)
        with translated():
            started = self._publisher.start_event(
                sender, user_id, checked.event, checked.data, checked.id, exclude=checked.exclude
            )
            return await self._publisher.finish(started)

    # -- users and rooms -----------------------------------------------------------------------------------

    async def kick(self, user_id: str) -> int:
        """Close everything that a user has open, on all instances; return the number of connections.

        Raises UnavailableError when other instances did not get the command: repeat it.
        """
        self._require_running()
        if not is_valid_user_id(user_id):
            raise ValueError("Not a user id")
        with translated():
            async with shared_store("Closed on this instance. Other instances did not get the command."):
                return await self._server.commands.kick(user_id, 0.0)

    async def presence(self, room: str) -> Presence:
        """Return who is in a room, over all instances. Raises UnavailableError."""
        self._require_running()
        with translated():
            name = checked_room(room)
            async with shared_store():
                return Presence(*await self._server.rooms.members(name))


def _principal(user_id: str, name: str) -> Principal:
    """Somebody who may do everything. Raises ValueError."""
    shown = showable(name)
    if not is_valid_user_id(user_id) or shown is None:
        raise ValueError("Not a user id, or not a display name")
    return Principal(user_id, shown, expires_at=float("inf"), scopes=frozenset({"admin"}))


Body = TypeVar("Body", MessageIn, EventIn, DirectIn)


def _checked(model: type[Body], **fields: object) -> Body:
    """Check what is to be published as the HTTP API does. Raises ValueError."""
    try:
        parse(json.dumps(fields, ensure_ascii=False, allow_nan=False))
        return model.model_validate(fields)
    except (NotAcceptedError, ValidationError) as error:
        raise ValueError(f"Not allowed in the protocol: {_why(error)}") from None


def _why(error: NotAcceptedError | ValidationError) -> str:
    """What is wrong, without the data: they may be somebody's."""
    if isinstance(error, NotAcceptedError):
        return str(error)
    return ", ".join(f"{'.'.join(map(str, one['loc']))} ({one['type']})" for one in error.errors())
