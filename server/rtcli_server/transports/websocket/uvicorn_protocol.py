"""uvicorn's own WebSocket protocol with the limits that it lacks. It serves what picows does not.

uvicorn limits the bytes of a message but not its fragments, and waits for ever for the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import websockets
from typing_extensions import override
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from rtcli.protocol.codes import CloseCode
from rtcli_server.connections.websocket import CLOSE_TIMEOUT_S
from rtcli_server.headers import header_values
from rtcli_server.timing.timer_wheel import TimerWheel
from rtcli_server.transports.asgi_extensions import WEBSOCKET_TRANSPORT
from rtcli_server.transports.http.handshake import PLAIN_HANDSHAKE
from rtcli_server.transports.http.protocol import HttpProtocol
from rtcli_server.transports.websocket.frames import ControlFrameLimit, FrameError

WRITTEN_BYTES = 16_384  # in the transport: the rest waits in the application's queue
PARSED_AT_ONCE = 2_048  # bytes: at most some hundred messages
_NOBODY = asyncio.BufferedProtocol()


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentLimits:
    """The limits of a message in fragments. `deadline_s` is the time for the whole message."""

    wheel: TimerWheel
    now: Callable[[], float]
    deadline_s: float
    max_fragments: int


class UvicornWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection for a handshake that `http` has parsed and checked.

    Scheduled as a timer while a message is not complete.
    """

    def __init__(self, limits: FragmentLimits, http: HttpProtocol) -> None:
        super().__init__(http.config, http.server_state, http.app_state)
        head = http.head
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        self._limits = limits
        self._request = Request(head.target.decode(), websockets.Headers(fields))
        self._fragments = 0
        self._control = ControlFrameLimit()
        self._unread = b""  # received, and not parsed yet
        self._read_to = 0
        self._drop_timer: asyncio.TimerHandle | None = None
        self.slot = 0

    def handle_connect(self, event: Request) -> None:  # noqa: ARG002 - it is the plain handshake
        """Go on with the true request; let the application see the transport, and drop it."""
        super().handle_connect(self._request)
        if self.response.status_code == 101:
            transport = self.transport
            self.scope["extensions"][WEBSOCKET_TRANSPORT] = {
                "abort": transport.abort,
                "waiting_bytes": transport.get_write_buffer_size,
            }

    @override
    async def run_asgi(self) -> None:
        """Run the application. uvicorn takes it for an error when it answers a handshake with a status."""
        app = self.app

        async def answering(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - passed on as they are
            await app(scope, receive, send)
            if self.initial_response is not None:
                self.handshake_complete = True

        self.app = answering
        try:
            await super().run_asgi()
        finally:
            self.app = app  # `answering` has this protocol: that was a cycle
            self._drop_soon()

    @override
    def keepalive_timeout(self) -> None:
        """Close; uvicorn waits for ever until the client has read what waits for it."""
        super().keepalive_timeout()
        self._drop_soon()

    def _drop_soon(self) -> None:
        """Drop a client that does not answer the close frame, or does not take what is before it, in time."""
        if self._drop_timer is None and not self.disconnected:
            self._drop_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines; forget what was not parsed, and end the parser: it is a cycle."""
        self._limits.wheel.cancel(self)
        if self._drop_timer is not None:
            self._drop_timer.cancel()
            self._drop_timer = None
        super().connection_lost(exc)
        self._unread, self._read_to = b"", 0
        self.conn.parser.close()

    def data_received(self, data: bytes) -> None:
        """Parse a little at a time: uvicorn queues all messages in what it is given, then it pauses."""
        self._unread = self._unread[self._read_to :] + data
        self._read_to = 0
        self._parse_unread()

    def _parse_unread(self) -> None:
        while self._read_to < len(self._unread) and not self.read_paused:
            start = self._read_to
            self._read_to += PARSED_AT_ONCE
            super().data_received(self._unread[start : self._read_to])
        if self._read_to >= len(self._unread):
            self._unread, self._read_to = b"", 0

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next event; parse more when the application has taken all messages."""
        event = await super().receive()
        if not self.read_paused and self._unread:
            self._parse_unread()
        return event

    def handle_text(self, event: Frame) -> None:
        """Handle the first frame of a text message."""
        self._begin(event)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Handle the first frame of a binary message."""
        self._begin(event)
        super().handle_bytes(event)

    def _begin(self, event: Frame) -> None:
        self._fragments = 1
        if not event.fin:
            self._limits.wheel.schedule(self, self._limits.now() + self._limits.deadline_s)

    def handle_cont(self, event: Frame) -> None:
        """Handle a continuation frame."""
        if self.close_sent:
            return
        self._fragments += 1
        if self._fragments > self._limits.max_fragments:
            self._fail(f"message in more than {self._limits.max_fragments} fragments")
            return
        if event.fin:
            self._limits.wheel.cancel(self)
        super().handle_cont(event)

    @override
    def send_receive_event_to_app(self) -> None:
        """Give a whole message to the application. uvicorn logs a traceback for a text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            if not _is_utf8(self.frames[0]):
                self._fail("not UTF-8", CloseCode.INVALID_PAYLOAD)
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Count a ping; the websockets library has made the answer."""
        try:
            self._control.take(self._limits.now())
        except FrameError as error:
            self._fail(error.reason)
        else:
            super().handle_ping()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read: answers to its pings would pile up."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Close: the message was not complete in time."""
        if not self.close_sent and not self.transport.is_closing():
            self._fail("message not complete in time")

    def _fail(self, reason: str, code: CloseCode = CloseCode.REFUSED) -> None:
        self._limits.wheel.cancel(self)
        self.conn.fail(code, reason)
        self.handle_parser_exception()


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.isascii() or payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def upgrade(limits: FragmentLimits, http: HttpProtocol) -> None:
    """Hand the transport to a UvicornWebSocket, and answer the handshake.

    The websockets library gets a plain handshake with the client's key: it closes without an answer when a
    line of the true one is over 8 KiB.
    """
    http.let_go()
    protocol = UvicornWebSocket(limits, http)
    protocol.connection_made(http.transport)
    protocol.client = http.client
    protocol.data_received(PLAIN_HANDSHAKE % header_values(http.head.headers, b"sec-websocket-key")[0])
    # uvloop keeps `get_buffer` of the last BufferedProtocol, also under a plain one.
    http.transport.set_protocol(_NOBODY)
    http.transport.set_protocol(protocol)
    http.transport.set_write_buffer_limits(high=WRITTEN_BYTES, low=WRITTEN_BYTES // 4)
