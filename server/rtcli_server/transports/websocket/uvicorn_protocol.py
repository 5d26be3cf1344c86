"""uvicorn's own WebSocket protocol, with the limits that it lacks: used where picows is not.

It counts bytes of a message but not its fragments, and waits for ever for the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import websockets
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request

from rtcli.protocol.codes import CloseCode
from rtcli_server.headers import Headers, values
from rtcli_server.timing.timer_wheel import TimerWheel
from rtcli_server.transports.http.handshake import PLAIN_HANDSHAKE
from rtcli_server.transports.websocket.asgi_endpoint import EXTENSION
from rtcli_server.transports.websocket.frames import ControlLimit, FrameError


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageGuard:
    """The limits of one message in fragments."""

    wheel: TimerWheel
    now: Callable[[], float]
    deadline_s: float
    max_fragments: int


class PortableWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket connection. On the wheel while a message is not complete."""

    def __init__(
        self,
        guard: MessageGuard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._guard = guard
        self._fragments = 0
        self._control = ControlLimit()
        self._request: Request | None = None
        self.slot = 0

    def take_over(self, url: bytes, headers: Headers, client: tuple[str, int] | None) -> None:
        """Answer a handshake that our HTTP protocol has parsed and checked; `client` is who it comes from.

        The websockets library is given one without what it would not take: lines over 8 KiB, which get no
        answer at all.
        """
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self.client = client
        self._request = Request(url.decode("latin-1"), websockets.Headers(fields))
        self.data_received(PLAIN_HANDSHAKE % values(headers, b"sec-websocket-key")[0])

    def handle_connect(self, event: Request) -> None:
        """Go on with the true request; offer the application a way to drop the transport."""
        super().handle_connect(self._request or event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = {"abort": self.transport.abort}

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        self._guard.wheel.cancel(self)
        super().connection_lost(exc)

    def handle_text(self, event: Frame) -> None:
        """The first frame of a text message."""
        self._begin(event)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """The first frame of a binary message."""
        self._begin(event)
        super().handle_bytes(event)

    def _begin(self, event: Frame) -> None:
        self._fragments = 1
        if not event.fin:
            self._guard.wheel.schedule(self, self._guard.now() + self._guard.deadline_s)

    def handle_cont(self, event: Frame) -> None:
        """A further frame."""
        if self.close_sent:
            return
        self._fragments += 1
        if self._fragments > self._guard.max_fragments:
            self._fail(f"message in more than {self._guard.max_fragments} fragments")
            return
        if event.fin:
            self._guard.wheel.cancel(self)
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """A ping, whose answer the websockets library has made."""
        try:
            self._control.take(self._guard.now())
        except FrameError as error:
            self._fail(error.reason)
        else:
            super().handle_ping()

    def pause_writing(self) -> None:
        """Read no more of a client that does not read: answers to its pings would pile up."""
        super().pause_writing()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """The message was not complete in time."""
        if not self.close_sent and not self.transport.is_closing():
            self._fail("message not complete in time")

    def _fail(self, reason: str) -> None:
        self._guard.wheel.cancel(self)
        self.conn.fail(CloseCode.REFUSED, reason)
        self.handle_parser_exception()
