"""Writers of event streams: through an ASGI server, or under the bundled one straight to the transport."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from rtcli_server.connections.event_stream_writer import EventStreamWriter, WriterObserver
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.delivery.wire import EventBatch
from rtcli_server.transports.asgi_extensions import HTTP_PROTOCOL
from rtcli_server.transports.http.protocol import HttpProtocol
from rtcli_server.transports.send_queue import SendQueue


def open_writer(
    scope: Scope, receive: Receive, send: Send, budget: SendBudget, stream: WriterObserver
) -> EventStreamWriter:
    """Make the writer for a response that was started. `stream` is told what happens to the transport."""
    protocol = _bundled(scope)
    if protocol is not None and scope["http_version"] != "1.0":  # which has no chunks
        return ChunkedEventWriter(protocol, send, budget=budget, stream=stream)
    return AsgiEventWriter(receive, send, budget=budget, stream=stream)


def last_of_connection(scope: Scope) -> None:
    """Let this request be the last one of its connection, under the bundled server.

    What a client sends while its stream is open could wait for hours, and hide that the client is gone.
    """
    protocol = _bundled(scope)
    if protocol is not None:
        protocol.last_request()


def _bundled(scope: Scope) -> HttpProtocol | None:
    protocol = scope.get("extensions", {}).get(HTTP_PROTOCOL)
    return protocol if isinstance(protocol, HttpProtocol) else None


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class AsgiEventWriter:
    """Sends through ASGI, with a task only while something waits to be sent."""

    def __init__(self, receive: Receive, send: Send, *, budget: SendBudget, stream: WriterObserver) -> None:
        self._receive = receive
        self._send = send
        self._over = asyncio.Event()
        self._queue: SendQueue[bytes] = SendQueue(
            self._send_body, size_of=len, budget=budget, observer=stream, abort=self.abort
        )

    async def _send_body(self, data: bytes) -> None:
        # An empty body is the end of the stream.
        await self._send({"type": "http.response.body", "body": data, "more_body": bool(data)})
        if not data:
            self._over.set()

    @property
    def full(self) -> bool:
        """Whether more is waiting to be sent than the budget allows."""
        return self._queue.full

    @property
    def busy(self) -> bool:
        """Whether so much is waiting that a replay has to wait too."""
        return self._queue.busy

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that wait to be sent."""
        return self._queue.waiting_bytes

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._queue.put(data)

    def write_events(self, batch: EventBatch, suffix: bytes) -> None:
        """Send a batch with this stream's suffix."""
        self._queue.put(batch.join(suffix))

    def end(self) -> None:
        """End the stream after what waits to be sent."""
        self._queue.end(b"")

    def abort(self) -> None:
        """End without sending the rest; the ASGI server closes the connection."""
        self._queue.stop()
        self._over.set()

    async def run(self) -> None:
        """Wait until the client has gone or the stream has ended."""
        gone = asyncio.ensure_future(_until_disconnected(self._receive))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._queue.stop()
            gone.cancel()
            over.cancel()
            await asyncio.gather(gone, over, return_exceptions=True)


class _Nobody:
    """A stream that has ended."""

    def set_busy(self, *, on: bool) -> None:
        pass

    def set_full(self) -> None:
        pass

    def lost(self) -> None:
        pass


_NOBODY = _Nobody()


class ChunkedEventWriter:
    """Writes chunks (RFC 9112, section 7.1) to the transport of the bundled server's HTTP protocol."""

    def __init__(
        self,
        protocol: HttpProtocol,
        send: Send,
        *,
        budget: SendBudget,
        stream: WriterObserver,
    ) -> None:
        self._flow = protocol.flow
        self._transport = protocol.transport
        self._write = protocol.transport.write
        self._send = send
        self._ended = False
        self._over = asyncio.Event()
        self.busy = self.full = False
        self._stream: WriterObserver = stream
        self._budget = budget
        protocol.transport.set_write_buffer_limits(high=budget.high_bytes, low=budget.low_bytes)
        protocol.flow.report_to(self)

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes in the transport's buffer."""
        return self._transport.get_write_buffer_size()

    def set_busy(self, *, on: bool) -> None:
        """Tell the stream that much waits in the transport, or that it has drained."""
        self.busy = on
        self.full = False
        self._stream.set_busy(on=on)
        self._check_budget()

    def _check_budget(self) -> None:
        if self.busy and not self.full and self.waiting_bytes > self._budget.limit_bytes:
            self.full = True
            self._stream.set_full()

    def lost(self) -> None:
        """Tell the stream that the transport is closed; write nothing more."""
        self._ended = True
        self._over.set()
        self._stream.lost()

    def write(self, data: bytes) -> None:
        """Send bytes as one chunk."""
        if not self._ended:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
            if self.busy:
                self._check_budget()

    def write_events(self, batch: EventBatch, suffix: bytes) -> None:
        """Send a batch with this stream's suffix as one chunk."""
        if not self._ended:
            self._write(suffix.join(batch.chunked(len(suffix))))
            if self.busy:
                self._check_budget()

    def end(self) -> None:
        """Let `run` end the response."""
        self._ended = True
        self._over.set()

    def abort(self) -> None:
        """Drop the transport, and what it holds."""
        self._ended = True
        self._over.set()
        self._transport.abort()

    async def run(self) -> None:
        """Wait until the client has gone or the stream has ended."""
        try:
            await self._over.wait()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._flow.report_to(None)
            self._stream = _NOBODY  # which has this writer: that was a cycle
