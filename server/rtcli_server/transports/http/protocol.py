"""uvicorn's HTTP/1.1 protocol with what it lacks: a deadline, size limits, and a checked WebSocket upgrade.

uvicorn waits for ever for a request that does not end, and reads endless headers; its WebSocket protocol does
not answer a request with a line over 8 KiB. Here a request that is not complete in time is dropped, a long
request line is answered with 414, long or many headers with 431 (RFC 6585, section 5), and a WebSocket
handshake is checked before another protocol takes it over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rtcli_server.connections.answers import Answers
from rtcli_server.connections.event_stream_writer import TransportObserver
from rtcli_server.problems import ProblemError
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel
from rtcli_server.transports.asgi_extensions import HTTP_PROTOCOL
from rtcli_server.transports.http.handshake import check_handshake, is_websocket_upgrade, response_bytes
from rtcli_server.transports.http.trusted_proxies import TrustedProxies


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """What all HTTP connections of one server share: limits of a request, timers, and `upgrade`.

    `deadline_s` is the time for a whole request, `max_bytes` and `max_fields` are for its head. `upgrade` is
    called with the protocol of a valid WebSocket handshake. It takes the transport over, or refuses.
    """

    wheel: TimerWheel
    clock: Clock
    deadline_s: float
    max_bytes: int
    max_fields: int
    proxies: TrustedProxies
    answers: Answers
    upgrade: Callable[[HttpProtocol], None]


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection. Scheduled as a timer while a request is being read."""

    def __init__(
        self,
        options: HttpOptions,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._observer: TransportObserver | None = None  # an event stream that writes to the transport
        self.slot = 0
        self._options = options
        self._head_bytes = 0  # received of the head
        self._parsed_bytes = 0  # parsed of the head
        self._in_head = True
        self._completed = False  # a request was completed by the data that is being read
        self._refusal: ProblemError | None = None

    # -- the deadline --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn has the wider type
        """Start the first deadline."""
        super().connection_made(transport)
        self._options.answers.add(self)
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._options.wheel.cancel(self)
        self._options.answers.remove(self)
        if self._observer is not None:
            self._observer.lost()  # at once: a write after this raises
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        self._options.wheel.schedule(self, self._options.clock.now() + self._options.deadline_s)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Drop a client whose request is not complete in time."""
        self.transport.abort()

    # -- the request ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse a request that breaks a limit or is not HTTP/1.1."""
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
            # The bytes of a request that came whole, with its body, are not those of an endless head.
            if was_in_head and self._in_head and not self._completed:
                self._count_head(len(data))

    def _count_head(self, size: int) -> None:
        """Bound a request line or header that never ends: the parser reports it only at its end."""
        self._head_bytes += size
        if self._head_bytes > self._options.max_bytes:
            self.refuse(ProblemError(431, detail="The request headers are too large"))

    def refuse(self, refusal: ProblemError) -> None:
        """Answer with an error and close."""
        self._refusal = refusal
        self._options.wheel.cancel(self)
        if not self.transport.is_closing():
            self.transport.write(response_bytes(refusal))
            self.transport.close()

    def on_message_begin(self) -> None:
        """Reset what is counted per request."""
        super().on_message_begin()
        self.scope["extensions"] = {HTTP_PROTOCOL: self}  # type: ignore[dict-item] # not only dicts, by the spec
        self._in_head = True
        self._head_bytes = self._parsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count a part of the request line."""
        super().on_url(url)
        self._count_parsed(len(url), 414, "The request line is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count one header field."""
        super().on_header(name, value)
        self._count_parsed(len(name) + len(value) + 4, 431, "The request headers are too large")
        if len(self.headers) > self._options.max_fields:
            self._stop_parsing(ProblemError(431, detail="Too many request headers"))

    def _count_parsed(self, size: int, status: int, detail: str) -> None:
        self._parsed_bytes += size
        if self._parsed_bytes > self._options.max_bytes:
            self._stop_parsing(ProblemError(status, detail=detail))

    def _stop_parsing(self, refusal: ProblemError) -> None:
        self._refusal = refusal
        raise ValueError(refusal.detail)  # httptools re-raises it from feed_data as an HttpParserError

    def on_headers_complete(self) -> None:
        """The head is complete; a body may follow."""
        self._in_head = False
        if self.client is not None and self._options.proxies:
            self.scope["client"] = (self._options.proxies.client_address(self.client[0], self.headers), 0)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._options.wheel.cancel(self)
        self._in_head = self._completed = True
        super().on_message_complete()

    # -- the upgrade ---------------------------------------------------------------------------------------

    def _should_upgrade_to_ws(self) -> bool:
        return True  # by `options.upgrade`, not by a class of uvicorn's configuration

    def _should_upgrade(self) -> bool:
        return is_websocket_upgrade(self.headers)

    def _upgrade(self, rest: bytes) -> None:
        self._options.wheel.cancel(self)
        if not self._should_upgrade():
            self._unsupported_upgrade_warning()
            return
        refusal = check_handshake(self.scope["method"], self.parser.get_http_version(), self.headers)
        # RFC 6455, section 4.1: the client sends no data before it has the server's handshake.
        if refusal is None and rest:
            refusal = ProblemError(400, detail="Frames may not be sent before the handshake is answered")
        if refusal is not None:
            self.refuse(refusal)
        else:
            self._options.upgrade(self)

    def let_go(self) -> None:
        """Forget the transport: another protocol takes it over."""
        self.connections.discard(self)
        self._options.answers.remove(self)

    # -- event streams that write to the transport ---------------------------------------------------------

    def report_to(self, observer: TransportObserver) -> None:
        """Report to an event stream what happens to the transport."""
        self._observer = observer

    def stop_reporting(self) -> None:
        """Report to nobody any more: the stream has ended."""
        self._observer = None

    # -- flow control --------------------------------------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes of answers that wait in the transport; an event stream counts its own."""
        return 0 if self._observer is not None else self.transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """Drop a client that does not read its answers."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """The transport holds more than its high-water mark."""
        super().pause_writing()
        if self._observer is not None:
            self._observer.set_busy(on=True)
        else:
            self._options.answers.busy(self, self._options.clock.now())

    def resume_writing(self) -> None:
        """The transport has drained."""
        super().resume_writing()
        self._options.answers.drained(self)
        if self._observer is not None:
            self._observer.set_busy(on=False)
