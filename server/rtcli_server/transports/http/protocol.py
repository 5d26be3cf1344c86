"""uvicorn's HTTP/1.1 protocol with what it lacks: a deadline and a size limit for requests, and the upgrade.

uvicorn waits for ever for a request that does not end and reads endless headers; its WebSocket protocol gives
no answer at all to a request line or header over 8 KiB. Here a request that is not complete in time is
dropped, a long request line is answered with 414 and long or many headers with 431 (RFC 6585, section 5),
and a WebSocket handshake is checked before it is handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rtcli_server.problems import ProblemError
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel
from rtcli_server.transports.http.handshake import check_handshake, is_websocket_upgrade, response_bytes
from rtcli_server.transports.http.trusted_proxies import TrustedProxies
from rtcli_server.transports.websocket.uvicorn_protocol import PortableWebSocket

EXTENSION = "rtcli.http"  # scope["extensions"]: the protocol itself, for streams that write to its transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The limits of one request, and who takes a WebSocket handshake over (False: uvicorn's own does)."""

    wheel: TimerWheel
    clock: Clock
    deadline_s: float
    max_bytes: int
    max_fields: int
    proxies: TrustedProxies
    upgrade: Callable[[HttpProtocol], bool]


class Follower(Protocol):
    """Hears what happens to the transport."""

    def set_writable(self, *, on: bool) -> None:
        """The transport holds more than its high-water mark, or has drained."""
        ...

    def lost(self) -> None:
        """It is gone."""
        ...


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. On the wheel while a request is being read."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.guard = guard
        self.slot = 0
        self.follower: Follower | None = None  # a stream that writes to the transport
        self._head_bytes = 0  # received
        self._parsed_bytes = 0  # and understood
        self._in_head = True
        self._completed = False  # within the data that is being read
        self._refusal: ProblemError | None = None

    # -- the deadline --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the first deadline."""
        super().connection_made(transport)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline."""
        self.guard.wheel.cancel(self)
        if self.follower is not None:
            self.follower.lost()  # at once: what is written after this raises
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        self.guard.wheel.schedule(self, self.guard.clock.now() + self.guard.deadline_s)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Drop a client whose request did not come in time."""
        self.transport.abort()

    # -- the request ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what breaks a limit or is not HTTP/1.1."""
        self._unset_keepalive_if_required()
        if self._refusal is not None:
            return
        if not self.slot and self._in_head:
            self._start_deadline()
        was_in_head = self._in_head
        self._completed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            refusal: ProblemError | None = self._refusal  # set by a callback, or nothing but bad HTTP
            self.refuse(refusal or ProblemError(400, detail="Not an HTTP/1.1 request"))
        else:
            # A request that came whole, with its body, is no head that never ends.
            if was_in_head and self._in_head and not self._completed:
                self._count_head(len(data))

    def _count_head(self, size: int) -> None:
        """Bound a request line or header that never ends: the parser keeps it to itself until then."""
        self._head_bytes += size
        if self._head_bytes > self.guard.max_bytes:
            self.refuse(ProblemError(431, detail="The request headers are too large"))

    def refuse(self, refusal: ProblemError) -> None:
        """Answer with an error and close."""
        self._refusal = refusal
        self.guard.wheel.cancel(self)
        if not self.transport.is_closing():
            self.transport.write(response_bytes(refusal))
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item] # not only dicts, by the spec
        self._in_head = True
        self._head_bytes = self._parsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        super().on_url(url)
        self._count_parsed(len(url), 414, "The request line is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        super().on_header(name, value)
        self._count_parsed(len(name) + len(value) + 4, 431, "The request headers are too large")
        if len(self.headers) > self.guard.max_fields:
            self._stop_parsing(ProblemError(431, detail="Too many request headers"))

    def _count_parsed(self, size: int, status: int, detail: str) -> None:
        self._parsed_bytes += size
        if self._parsed_bytes > self.guard.max_bytes:
            self._stop_parsing(ProblemError(status, detail=detail))

    def _stop_parsing(self, refusal: ProblemError) -> None:
        self._refusal = refusal
        raise ValueError(refusal.detail)  # httptools gives it to feed_data's caller as an HttpParserError

    def on_headers_complete(self) -> None:
        """The head is whole; the body may follow."""
        self._in_head = False
        if self.client is not None and self.guard.proxies:
            self.scope["client"] = (self.guard.proxies.client(self.client[0], self.headers), 0)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.guard.wheel.cancel(self)
        self._in_head = self._completed = True
        super().on_message_complete()

    # -- the upgrade ---------------------------------------------------------------------------------------

    def _should_upgrade(self) -> bool:
        return is_websocket_upgrade(self.headers)

    def _upgrade(self, rest: bytes) -> None:
        self.guard.wheel.cancel(self)
        if not self._should_upgrade():
            self._unsupported_upgrade_warning()
            return
        refusal = check_handshake(self.scope["method"], self.parser.get_http_version(), self.headers)
        # RFC 6455, section 4.1: the client sends no data before it has the server's handshake.
        if refusal is None and rest:
            refusal = ProblemError(400, detail="Frames may not be sent before the handshake is answered")
        if refusal is not None:
            self.refuse(refusal)
        elif not self.guard.upgrade(self):
            self.handle_websocket_upgrade()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport to uvicorn's WebSocket protocol, or our version of it."""
        self.let_go()
        protocol = self.ws_protocol_class(  # type: ignore[misc, call-arg] # a class, for all that is set up here
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.connection_made(self.transport)
        if isinstance(protocol, PortableWebSocket):
            protocol.take_over(self.url, self.headers, self.scope["client"])
        self.transport.set_protocol(protocol)

    def let_go(self) -> None:
        """Forget the transport: another protocol takes it over."""
        self.connections.discard(self)

    # -- flow control --------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The transport holds more than its high-water mark."""
        super().pause_writing()
        if self.follower is not None:
            self.follower.set_writable(on=False)

    def resume_writing(self) -> None:
        """It has drained."""
        super().resume_writing()
        if self.follower is not None:
            self.follower.set_writable(on=True)
