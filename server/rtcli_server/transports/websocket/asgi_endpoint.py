"""The portable WebSocket endpoint: a FastAPI route for every ASGI server and every FastAPI application.

ASGI has no ping frames. Dead peers of `/api/v1/ws` are found by the ASGI server's own pings (uvicorn sends
them by default), those of `/api/v1/ws/v2` by messages of the protocol. An ASGI application cannot drop a
transport either: a client that never reads is left to the server and to TCP.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.paths import WEBSOCKET_PATH, WEBSOCKET_V2_PATH
from rtcli_server.auth.admission import AdmissionRequest, Rejection
from rtcli_server.auth.claims import Principal
from rtcli_server.connections.websocket import Connection
from rtcli_server.delivery.resumption import read_opening
from rtcli_server.delivery.wire import Format
from rtcli_server.http_routes import HttpRoute
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import RealtimeServer
from rtcli_server.session.settings import HeartbeatMode
from rtcli_server.transports.asgi_extensions import WEBSOCKET_TRANSPORT
from rtcli_server.transports.http.handshake import upgrade_required
from rtcli_server.transports.send_queue import SendQueue

PATHS = {WEBSOCKET_PATH: HeartbeatMode.CLIENT, WEBSOCKET_V2_PATH: HeartbeatMode.SERVER}
_FRAME_BYTES = 10  # the longest header of a server's frame

_log = logging.getLogger(__name__)


class Close(NamedTuple):
    """The last item of a queue."""

    code: int
    reason: str


def bytes_of(item: str | Close) -> int:
    """The bytes of a frame with this text, or of a close frame."""
    text = item if isinstance(item, str) else item.reason
    # `isascii` looks at a flag: what fan-out gives to all members is encoded for none of them.
    return _FRAME_BYTES + (len(text) if text.isascii() else len(text.encode()))


class AsgiTransport:
    """One accepted WebSocket: makes its connection, reads for it, and is its WebSocketWriter."""

    format = Format.TEXTS

    def __init__(
        self, realtime: RealtimeServer, websocket: WebSocket, principal: Principal, address: str
    ) -> None:
        self._websocket = websocket
        self._readable = asyncio.Event()
        self._readable.set()
        self._over = asyncio.Event()
        heartbeat = PATHS[websocket.scope["path"]]
        self.connection: Connection = realtime.clients.new_connection(principal, self, heartbeat, address)
        extension = websocket.scope.get("extensions", {}).get(WEBSOCKET_TRANSPORT, {})
        self._queue: SendQueue[str | Close] = SendQueue(
            self._send_item,
            size_of=bytes_of,
            budget=realtime.send_budget,
            observer=self.connection,
            abort=self.abort,
            beyond=extension.get("waiting_bytes", int),
        )

    async def _send_item(self, item: str | Close) -> None:
        if isinstance(item, str):
            await self._websocket.send({"type": "websocket.send", "text": item})
        else:
            await self._websocket.send({"type": "websocket.close", "code": item.code, "reason": item.reason})

    @property
    def full(self) -> bool:
        """Whether more is waiting to be sent than the budget allows."""
        return self._queue.full

    @property
    def busy(self) -> bool:
        """Whether so much is waiting that replies and replays have to wait too."""
        return self._queue.busy

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that wait to be sent."""
        return self._queue.waiting_bytes

    def send(self, text: bytes) -> None:
        """Send one message."""
        self._queue.put(text.decode())

    def write(self, batch: tuple[str, ...]) -> None:
        """Send a batch of messages."""
        for text in batch:
            self._queue.put(text)

    def flush(self) -> None:
        """Do nothing: `send` and `write` use the same queue."""

    def ping(self) -> None:
        """Count the peer as alive: ASGI has no ping frames, and its server sends its own."""
        self.connection.control_frame()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits to be sent; send nothing after it."""
        self._readable.set()
        self._queue.end(Close(code, reason))

    def abort(self) -> None:
        """End without sending the rest. The ASGI server closes the connection, the bundled one at once."""
        self._queue.stop()
        self._over.set()
        drop = self._websocket.scope.get("extensions", {}).get(WEBSOCKET_TRANSPORT)
        if drop is not None:
            drop["abort"]()

    def set_reading(self, *, on: bool) -> None:
        """Stop or resume reading."""
        if on:
            self._readable.set()
        else:
            self._readable.clear()

    async def run(self) -> None:
        """Read until the client has gone, or until `abort`."""
        reading = asyncio.ensure_future(self._read())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({reading, over}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            self._queue.stop()
            reading.cancel()
            over.cancel()
            await asyncio.gather(reading, over, return_exceptions=True)

    async def _read(self) -> None:
        connection = self.connection
        while True:
            await self._readable.wait()
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                connection.binary()
            else:
                connection.text(text)


class WebSocketEndpoint:
    """The endpoint of both paths, on one server."""

    def __init__(self, realtime: RealtimeServer) -> None:
        self._realtime = realtime

    async def __call__(self, websocket: WebSocket) -> None:
        """Admit, then drive a connection until it ends."""
        request = AdmissionRequest.from_scope(websocket.scope)
        verdict = await self._realtime.admission.admit(request)
        if isinstance(verdict, Rejection):
            await self._reject(websocket, request, verdict)
        else:
            await self._serve(websocket, request, verdict)

    async def _serve(self, websocket: WebSocket, request: AdmissionRequest, principal: Principal) -> None:
        await websocket.accept(request.subprotocol)
        transport = AsgiTransport(self._realtime, websocket, principal, request.address)
        connection = transport.connection
        try:
            max_rooms = self._realtime.settings.max_rooms
            connection.open(read_opening(request.query, principal.user_id, max_rooms=max_rooms))
            await transport.run()
        except WebSocketDisconnect:
            pass  # the client went while something was sent to it
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a close code
            _log.exception("connection %s failed", connection.connection_id)
            await websocket.close(CloseCode.INTERNAL, ErrorCode.INTERNAL)
        finally:
            connection.lost()

    async def _reject(self, websocket: WebSocket, request: AdmissionRequest, rejection: Rejection) -> None:
        """Answer with a status where the protocol says so, else accept and close with a readable reason."""
        if rejection.close_code is None:
            await answer_handshake(websocket, ProblemError(rejection.status, rejection.code, rejection.text))
            return
        await websocket.accept(request.subprotocol)
        closing = rejection.closing(self._realtime.clock.timestamp())
        if closing is not None:
            await websocket.send_text(closing.decode())
        await websocket.close(rejection.close_code, rejection.reason)


async def answer_handshake(websocket: WebSocket, problem: ProblemError) -> None:
    """Answer a handshake with an HTTP error; a server without that ASGI extension answers 403."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(Response(problem.body(), problem.status, problem.headers()))
    else:
        await websocket.close()


async def _not_a_handshake(request: Request) -> Response:
    """Answer a request that does not ask for a WebSocket (RFC 9110, section 15.5.22)."""
    problem = upgrade_required()
    headers = problem.headers()
    if not request.scope["http_version"].startswith("1"):
        del headers["connection"]  # RFC 9113, section 8.2.2: not in HTTP/2
    return Response(problem.body(), problem.status, headers)


def websocket_router(realtime: RealtimeServer) -> APIRouter:
    """The routes of the WebSocket endpoints."""
    router = APIRouter(route_class=HttpRoute)
    endpoint = WebSocketEndpoint(realtime)
    for path in PATHS:
        router.add_api_websocket_route(path, endpoint.__call__)
        router.add_api_route(path, _not_a_handshake, methods=["GET"], include_in_schema=False)
    return router
