"""The portable WebSocket endpoint: an ordinary FastAPI route for any ASGI server, and for any FastAPI app.

ASGI has no ping frames: dead peers of `/api/v1/ws` are found by the ASGI server's own pings (uvicorn sends
them by default), those of `/ws/v2` by our own messages. Nor can an ASGI application drop a transport: a
client that never reads is left to the server and to TCP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.paths import WEBSOCKET_PATH, WEBSOCKET_V2_PATH
from rtcli_server.auth.admission import AdmissionRequest, Rejection
from rtcli_server.auth.claims import Principal
from rtcli_server.connections.websocket import Connection
from rtcli_server.delivery.wire import Format
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import Realtime
from rtcli_server.session.session import HeartbeatMode
from rtcli_server.transports.asgi_extensions import WEBSOCKET_ABORT
from rtcli_server.transports.send_queue import LazyWriter

PATHS = {WEBSOCKET_PATH: HeartbeatMode.CLIENT, WEBSOCKET_V2_PATH: HeartbeatMode.SERVER}
_FRAME_BYTES = 10  # the longest header of a server's frame

_log = logging.getLogger(__name__)


class AsgiOutlet:
    """Sends messages through ASGI. See connection.Outlet."""

    format = Format.TEXTS

    def __init__(self, websocket: WebSocket, budget: int) -> None:
        self._websocket = websocket
        self._readable = asyncio.Event()
        self._readable.set()
        self._over = asyncio.Event()
        self.connection: Connection | None = None
        self._writer: LazyWriter[Mapping[str, Any]] = LazyWriter(
            self._send_message, size_of=_size_of, budget=budget, set_writable=self._set_writable
        )

    async def _send_message(self, message: Mapping[str, Any]) -> None:
        await self._websocket.send(dict(message))

    def _set_writable(self, *, on: bool) -> None:
        if self.connection is not None:
            self.connection.set_writable(on=on)

    @property
    def full(self) -> bool:
        """See Outlet."""
        return self._writer.full

    @property
    def waiting_bytes(self) -> int:
        """See Outlet."""
        return self._writer.waiting_bytes

    def send(self, text: bytes) -> None:
        """See Outlet."""
        self._writer.put({"type": "websocket.send", "text": text.decode()})

    def write(self, batch: tuple[str, ...]) -> None:
        """See Outlet."""
        for text in batch:
            self._writer.put({"type": "websocket.send", "text": text})

    def flush(self) -> None:
        """Nothing to do: everything goes one way."""

    def ping(self) -> None:
        """Take the peer for alive: ASGI has no ping frames, and its server sends its own."""
        if self.connection is not None:
            self.connection.pong()

    def close(self, code: int, reason: str) -> None:
        """See Outlet."""
        self._readable.set()
        self._writer.end({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """End without sending the rest; the ASGI server closes the connection, ours at once."""
        self._writer.stop()
        self._over.set()
        drop = self._websocket.scope.get("extensions", {}).get(WEBSOCKET_ABORT)
        if drop is not None:
            drop["abort"]()

    def set_reading(self, *, on: bool) -> None:
        """See Outlet."""
        if on:
            self._readable.set()
        else:
            self._readable.clear()

    async def run(self, connection: Connection) -> None:
        """Read until the client has gone, or `abort`."""
        self.connection = connection
        reading = asyncio.ensure_future(self._read(connection))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({reading, over}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            over.cancel()
            self._writer.stop()

    async def _read(self, connection: Connection) -> None:
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


def _size_of(message: Mapping[str, Any]) -> int:
    return len(message.get("text", "")) + _FRAME_BYTES


class WebSocketEndpoint:
    """The two paths, on one server."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    async def __call__(self, websocket: WebSocket) -> None:
        """Admit, then drive a connection until it ends."""
        request = AdmissionRequest.from_scope(websocket.scope)
        verdict = await self._realtime.admission.admit(request)
        if isinstance(verdict, Rejection):
            await self._refuse(websocket, request, verdict)
        else:
            await self._serve(websocket, request, verdict)

    async def _serve(self, websocket: WebSocket, request: AdmissionRequest, principal: Principal) -> None:
        await websocket.accept(request.subprotocol)
        outlet = AsgiOutlet(websocket, self._realtime.settings.send_budget_bytes)
        connection = self._realtime.new_connection(
            principal, outlet, PATHS[websocket.scope["path"]], request.address
        )
        try:
            connection.open(with_events=request.query.get("events") == ["1"])
            await outlet.run(connection)
        except WebSocketDisconnect:
            pass  # it went while something was sent
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a close code
            _log.exception("connection %s failed", connection.connection_id)
            await websocket.close(CloseCode.INTERNAL, ErrorCode.INTERNAL)
        finally:
            connection.lost()

    async def _refuse(self, websocket: WebSocket, request: AdmissionRequest, rejection: Rejection) -> None:
        """Refuse before accepting where the protocol says so, else close with a readable reason."""
        if rejection.close_code is None:
            await deny(websocket, ProblemError(rejection.status, rejection.code, rejection.text))
            return
        await websocket.accept(request.subprotocol)
        closing = rejection.closing(self._realtime.clock.timestamp())
        if closing is not None:
            await websocket.send_text(closing.decode())
        await websocket.close(rejection.close_code, rejection.reason)


async def deny(websocket: WebSocket, problem: ProblemError) -> None:
    """Answer a handshake with an HTTP status; servers without that ASGI extension say 403."""
    if "websocket.http.response" in websocket.scope.get("extensions", {}):
        await websocket.send_denial_response(Response(problem.body(), problem.status, problem.headers()))
    else:
        await websocket.close()


def websocket_router(realtime: Realtime) -> APIRouter:
    """The routes of the WebSocket endpoints."""
    router = APIRouter()
    endpoint = WebSocketEndpoint(realtime)
    for path in PATHS:
        router.add_api_websocket_route(path, endpoint.__call__)
    return router
