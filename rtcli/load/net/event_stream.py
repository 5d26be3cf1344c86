"""Event streams of many users: a raw asyncio protocol each, HTTP/1.1 and the rules of WHATWG HTML 9.2.

httpx costs 2.5 ms and 36 KB per connection, this 0.05 ms and 2 KB; and `retry:`, `id:` and the ends of lines
are what is tested here, so they are read by our own parser.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from time import monotonic_ns
from typing import Protocol, cast

from rtcli.load.errors import RefusedError
from rtcli.load.net.http_stream import HttpError, ResponseReader
from rtcli.load.net.patience import patient_timeout
from rtcli.load.net.source_addresses import SourceAddresses, reset_on_close
from rtcli.load.net.throttle import Throttle
from rtcli.load.scenario.model import STREAM_BROKEN, STREAM_END
from rtcli.load.scenario.steps import Kill
from rtcli.protocol.sse import ServerSentEvent, SSELimitError, SSEParser

_RECEIVE_BUFFER = 4_096


class SseReceiver(Protocol):
    """Who a connection reports to. `now` is in microseconds of the monotonic clock."""

    def on_open(self, connection: SseConnection) -> None:
        """The response is an event stream. Called before any event, which may be in the same bytes."""
        ...

    def on_event(self, event: ServerSentEvent, now: int) -> None:
        """An event was dispatched."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """The stream has ended; called once, unless it was killed.

        The code is STREAM_END when the response was complete, else STREAM_BROKEN.
        """
        ...


class SseConnection(asyncio.Protocol):
    """One event stream. `parser` outlives the connection: it knows the last event id."""

    def __init__(self, receiver: SseReceiver, request: bytes, parser: SSEParser) -> None:
        self.receiver: SseReceiver | None = receiver
        self.parser = parser
        self.received = 0  # bytes
        self.events = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._response = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._throttle: Throttle | None = None
        self._failure = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read bytes of the response."""
        self.received += len(data)
        try:
            body = self._response.feed(data)
            if not self.opened.done() and self._response.status:
                self._check_response()
            if body and self.receiver is not None:
                self._dispatch(body)
        except (HttpError, SSELimitError) as error:
            self._fail(0, str(error))
        if self._throttle is not None:
            self._throttle.on_read(len(data))
        if self._response.done and self._transport is not None:
            self._transport.close()

    def _dispatch(self, body: bytes) -> None:
        for event in self.parser.feed(body):
            self.events += 1
            if self.receiver is not None:
                self.receiver.on_event(event, monotonic_ns() // 1000)

    def _check_response(self) -> None:
        status = self._response.status
        kind = self._response.fields.get("content-type", "").partition(";")[0].strip().lower()
        coding = self._response.fields.get("content-encoding", "").strip().lower()
        if status != 200:
            self._fail(status, f"HTTP {status}")
        elif kind != "text/event-stream":
            self._fail(status, f"the answer is {kind or 'of no type'}, not text/event-stream")
        elif coding not in {"", "identity"}:
            self._fail(status, f"the event stream is compressed ({coding}), and `identity` was asked for")
        else:
            self.opened.set_result(None)
            if self.receiver is not None:
                self.receiver.on_open(self)

    def _fail(self, status: int, text: str) -> None:
        self._failure = text
        if not self.opened.done():
            self.receiver = None
            self._refuse(RefusedError(status, text))
        if self._transport is not None:
            self._transport.abort()

    def _refuse(self, error: RefusedError) -> None:
        self.opened.set_exception(error)
        self.opened.exception()  # whoever opened the stream may have given up: nobody else looks at it

    def connection_lost(self, error: Exception | None) -> None:
        """Report the end."""
        receiver, self.receiver = self.receiver, None
        if self._throttle is not None:
            self._throttle.stop()
        with contextlib.suppress(SSELimitError):
            self.parser.end()
        if not self.opened.done():
            self._refuse(RefusedError(0, "closed without an answer"))
        elif receiver is not None:
            is_whole = not (error or self._failure) and self._response.may_end
            receiver.on_closed(STREAM_END if is_whole else STREAM_BROKEN, self._failure or str(error or ""))

    def kill(self, how: Kill) -> None:
        """Lose the connection; nothing more is reported of it."""
        self.receiver = None
        transport = self._transport
        if transport is None:
            return
        if how is Kill.BLACKHOLE:
            transport.pause_reading()
        elif how is Kill.FIN:
            transport.close()
        else:
            connection = transport.get_extra_info("socket")  # None when it is closed already
            if connection is not None:
                with contextlib.suppress(OSError):  # the other side was quicker
                    reset_on_close(connection)
            transport.abort()

    def limit_reading(self, rate: float) -> None:
        """Read no more than `rate` bytes per second, by leaving the rest to TCP."""
        if self._transport is not None:
            self._throttle = Throttle(self._transport, rate)

    def read_freely(self) -> None:
        """Lift that limit."""
        if self._throttle is not None:
            self._throttle.stop()
            self._throttle = None


async def open_sse(
    receiver: SseReceiver,
    request: bytes,
    parser: SSEParser,
    *,
    sources: SourceAddresses,
    tls: tuple[ssl.SSLContext, str] | None,
    read: float | None = None,
    timeout: float,  # noqa: ASYNC109 - covers connecting and the answer
) -> SseConnection:
    """Connect and wait for the response head. Raises OSError, TimeoutError, or RefusedError."""
    connection: SseConnection | None = None
    try:
        async with patient_timeout(timeout):
            made = await sources.connect(receive_buffer=None if read is None else _RECEIVE_BUFFER)
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: SseConnection(receiver, request, parser),
                sock=made,
                ssl=None if tls is None else tls[0],
                server_hostname=None if tls is None else tls[1],
            )
            await connection.opened
    except BaseException:
        if connection is not None:
            connection.kill(Kill.RST)
        raise
    if read is not None:
        connection.limit_reading(read)
    return connection
