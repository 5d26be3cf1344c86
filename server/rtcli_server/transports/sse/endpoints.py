"""Event streams over HTTP (protocol.md, section 4), on any ASGI server.

A client that must stop gets an HTTP error; everyone else gets a stream, because a browser's EventSource gives
up for ever on any status but 200. Under the bundled server a stream writes to the transport itself, without a
task, queue or copy of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.paths import (
    CURSOR_PARAMETER,
    EVENT_STREAM_PATH,
    HEARTBEAT_STREAM_PATH,
    NOTIFICATION_STREAM_PATH,
)
from rtcli.protocol.position import BROADCAST, ROOM_PREFIX
from rtcli.protocol.rooms import is_valid_room, nfc
from rtcli.protocol.sse import encode_event
from rtcli_server.auth.admission import AdmissionRequest, Rejection
from rtcli_server.auth.claims import Principal
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.event_stream_writer import OpenWriter
from rtcli_server.connections.heartbeat_stream import HeartbeatStream
from rtcli_server.delivery.resumption import Resume
from rtcli_server.hooks import JoinRequest
from rtcli_server.hooks.admission import rejection_of
from rtcli_server.http_routes import HttpRoute
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import RealtimeServer
from rtcli_server.transports.sse import description
from rtcli_server.transports.sse.stream_request import (
    MEDIA_TYPE,
    accepts_events,
    is_resumable,
    last_event_id,
    read_cursor,
)
from rtcli_server.transports.sse.writers import last_of_connection, open_writer

NOT_RESUMABLE = "The cursor of so many rooms with such long names would not fit into a request"
HEADERS = {
    "cache-control": "no-cache, no-store, must-revalidate",
    "content-type": f"{MEDIA_TYPE}; charset=utf-8",
    "x-accel-buffering": "no",
}


def _refuse(status: int, code: str, text: str | None = None) -> Response:
    """Answer with problem+json, which stops the client. Without a text, it gets that of the code."""
    problem = ProblemError(status, code, text)
    return Response(problem.body(), status, problem.headers())


def _reject(rejection: Rejection) -> Response:
    """Stop the client; when it should come back later, answer with a stream that only says when."""
    if rejection.retry_after_ms is None:
        return _refuse(rejection.status, rejection.code, rejection.text)
    data = {
        "code": rejection.close_code,
        "reason": rejection.code,
        "retry_after_ms": rejection.retry_after_ms,
    }
    body = encode_event(event="closing", data=msgspec.json.encode(data), retry_ms=rejection.retry_after_ms)
    return Response(body, 200, HEADERS)


def _not_acceptable(request: Request) -> Response | None:
    if accepts_events(request.headers.getlist("accept")):
        return None
    return _refuse(406, "not_acceptable", f"This is {MEDIA_TYPE}")


def _last_event_id(request: Request) -> str:
    return last_event_id(request.scope["headers"], request.query_params.getlist(CURSOR_PARAMETER))


AnyStream = TypeVar("AnyStream", bound=EventStream | HeartbeatStream)


class EventStreamResponse(Response, Generic[AnyStream]):
    """A response that lasts as long as its stream. `begin` writes to the stream first."""

    def __init__(
        self,
        realtime: RealtimeServer,
        new_stream: Callable[[OpenWriter], AnyStream],
        begin: Callable[[AnyStream], Awaitable[None]],
    ) -> None:
        self._realtime = realtime
        self._new_stream = new_stream
        self._begin = begin
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)  # not Response.__init__, which would set a content-length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the response, and keep it open until the client or the stream ends."""
        is_head = scope["method"] == "HEAD"
        if not is_head:
            last_of_connection(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if is_head:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        budget = self._realtime.send_budget
        stream = self._new_stream(partial(open_writer, scope, receive, send, budget))
        self._realtime.hub.add(stream)
        try:
            await self._begin(stream)
            await stream.writer.run()
        finally:
            stream.lost()


async def _begin_heartbeats(stream: HeartbeatStream) -> None:
    stream.begin()


class EventStreamEndpoints:
    """The endpoints of the three paths, on one server."""

    def __init__(self, realtime: RealtimeServer) -> None:
        self._realtime = realtime

    async def events(self, request: Request) -> Response:
        """Follow your personal events and broadcasts, and the messages of every `room` given."""
        return await self._follow(request, request.query_params.getlist("room"))

    async def notifications(self, request: Request) -> Response:
        """Follow your personal events and broadcasts."""
        return await self._follow(request, [])

    async def heartbeats(self, request: Request) -> Response:
        """Get heartbeats only; needs no token."""
        address = request.client.host if request.client else ""
        rejection = self._realtime.check_capacity("", address)  # nobody: counted by address alone
        if rejection is not None:
            return _reject(rejection)
        new_stream = partial(self._realtime.clients.new_heartbeat_stream, address)
        return _not_acceptable(request) or EventStreamResponse(self._realtime, new_stream, _begin_heartbeats)

    async def _follow(self, request: Request, rooms: list[str]) -> Response:
        admission_request = AdmissionRequest.from_scope(request.scope)
        principal = await self._realtime.admission.admit(admission_request)
        if isinstance(principal, Rejection):
            stays_away = principal.close_code is CloseCode.KICKED and bool(_last_event_id(request))
            return Response(status_code=204) if stays_away else _reject(principal)
        rooms = list(dict.fromkeys(map(nfc, rooms)))
        return (
            _not_acceptable(request)
            or self._refuse_kicked(request, principal)
            or self._refuse_rooms(principal, rooms)
            or await self._refuse_by_hook(principal, rooms)
            or self._open(request, principal, admission_request.address, rooms)
        )

    def _refuse_kicked(self, request: Request, principal: Principal) -> Response | None:
        """Answer 204 to a client that was kicked and reconnects.

        WHATWG HTML, section 9.2.1: "a client can be told to stop reconnecting using the HTTP 204 No Content
        response code". A request that does not resume is admitted: a kick ends connections, it is no ban.
        """
        now = self._realtime.clock.now()
        if _last_event_id(request) and self._realtime.hub.is_kicked(principal.user_id, now):
            return Response(status_code=204)
        return None

    def _open(self, request: Request, principal: Principal, address: str, rooms: list[str]) -> Response:
        channels = [*(ROOM_PREFIX + room for room in rooms), principal.channel, BROADCAST]
        scope = request.scope
        path, query = scope["raw_path"], scope["query_string"]
        max_head_bytes = self._realtime.settings.max_header_bytes
        if not is_resumable(path, query, scope["headers"], channels, max_head_bytes=max_head_bytes):
            return _refuse(400, ErrorCode.TOO_MANY_ROOMS, NOT_RESUMABLE)
        resume = read_cursor(_last_event_id(request), channels, user_channel=principal.channel)
        new_stream = partial(self._realtime.clients.new_event_stream, principal, address)
        return EventStreamResponse(self._realtime, new_stream, partial(self._begin, channels, resume))

    async def _begin(self, channels: Sequence[str], resume: Resume, stream: EventStream) -> None:
        try:
            await stream.open(channels, resume, max_replay=self._realtime.settings.max_replay)
        except BrokerUnavailableError:
            retry_after_ms = self._realtime.retry_after_ms()
            stream.shut_down(CloseCode.TRY_AGAIN_LATER, ErrorCode.UNAVAILABLE, retry_after_ms)

    async def _refuse_by_hook(self, principal: Principal, rooms: list[str]) -> Response | None:
        gate = self._realtime.gate
        if gate is None or "join" not in gate.implemented:
            return None
        user_id, name = principal.user_id, principal.name
        denial = await gate.join_all(
            [JoinRequest(user_id=user_id, name=name, room=room, connection_id=None) for room in rooms]
        )
        return None if denial is None else _reject(rejection_of(denial))

    def _refuse_rooms(self, principal: Principal, rooms: list[str]) -> Response | None:
        if len(rooms) > self._realtime.settings.max_rooms:
            return _refuse(400, ErrorCode.TOO_MANY_ROOMS)
        if not all(map(is_valid_room, rooms)):
            return _refuse(400, ErrorCode.INVALID_ROOM)
        if not all(map(principal.can_join, rooms)):
            return _refuse(403, ErrorCode.FORBIDDEN)
        return None


def stream_router(realtime: RealtimeServer) -> APIRouter:
    """The routes of the event streams."""
    endpoints = EventStreamEndpoints(realtime)
    router = APIRouter(tags=["event streams"], route_class=HttpRoute)
    for path, endpoint, described in (
        (EVENT_STREAM_PATH, endpoints.events, description.of_events(with_rooms=True)),
        (NOTIFICATION_STREAM_PATH, endpoints.notifications, description.of_events(with_rooms=False)),
        (HEARTBEAT_STREAM_PATH, endpoints.heartbeats, description.of_heartbeats()),
    ):
        # A HEAD is not answered as a GET: it opens no stream.
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, **described)
    return router
