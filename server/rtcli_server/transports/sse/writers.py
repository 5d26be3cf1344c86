"""Where an event stream's bytes go: to an ASGI server, or under ours straight to the transport."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from rtcli_server.connections.event_stream_writer import EventStreamWriter
from rtcli_server.delivery.wire import EventBatch
from rtcli_server.transports.asgi_extensions import HTTP_PROTOCOL
from rtcli_server.transports.http.protocol import HttpProtocol, TransportObserver
from rtcli_server.transports.send_queue import LazyWriter


def open_outlet(
    scope: Scope, receive: Receive, send: Send, budget: int, stream: TransportObserver
) -> EventStreamWriter:
    """Choose the way out, after the response has been started. `stream` hears what happens to it."""
    protocol = scope.get("extensions", {}).get(HTTP_PROTOCOL)
    if isinstance(protocol, HttpProtocol):
        return TransportOutlet(protocol, receive, send, budget=budget, stream=stream)
    return AsgiOutlet(receive, send, budget=budget, stream=stream)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class AsgiOutlet:
    """Sends through ASGI, with a writer only while there is something to write."""

    def __init__(self, receive: Receive, send: Send, *, budget: int, stream: TransportObserver) -> None:
        self._receive = receive
        self._send = send
        self._over = asyncio.Event()
        self._writer: LazyWriter[bytes] = LazyWriter(
            self._send_body, size_of=len, budget=budget, set_writable=stream.set_writable
        )

    async def _send_body(self, data: bytes) -> None:
        # An empty body stands for the end.
        await self._send({"type": "http.response.body", "body": data, "more_body": bool(data)})
        if not data:
            self._over.set()

    @property
    def full(self) -> bool:
        """See EventStreamWriter."""
        return self._writer.full

    @property
    def waiting_bytes(self) -> int:
        """See EventStreamWriter."""
        return self._writer.waiting_bytes

    def write(self, data: bytes) -> None:
        """See EventStreamWriter."""
        self._writer.put(data)

    def write_events(self, batch: EventBatch, suffix: bytes) -> None:
        """See EventStreamWriter."""
        self._writer.put(batch.join(suffix))

    def end(self) -> None:
        """See EventStreamWriter."""
        self._writer.end(b"")

    def abort(self) -> None:
        """End without sending the rest; the ASGI server closes the connection."""
        self._writer.stop()
        self._over.set()

    async def run(self) -> None:
        """See EventStreamWriter."""
        gone = asyncio.ensure_future(_until_disconnected(self._receive))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            over.cancel()
            self._writer.stop()


class TransportOutlet:
    """Writes chunks (RFC 9112, section 7.1) to the transport of our own HTTP protocol."""

    def __init__(
        self,
        protocol: HttpProtocol,
        receive: Receive,
        send: Send,
        *,
        budget: int,
        stream: TransportObserver,
    ) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._write = protocol.transport.write
        self._receive = receive
        self._send = send
        self._ended = False
        self.full = False
        self._stream = stream
        protocol.transport.set_write_buffer_limits(high=budget, low=budget // 4)
        protocol.observer = self

    @property
    def waiting_bytes(self) -> int:
        """See EventStreamWriter."""
        return self._transport.get_write_buffer_size()

    def set_writable(self, *, on: bool) -> None:
        """See TransportObserver."""
        self.full = not on
        self._stream.set_writable(on=on)

    def lost(self) -> None:
        """See TransportObserver."""
        self._ended = True
        self._stream.lost()

    def write(self, data: bytes) -> None:
        """See EventStreamWriter."""
        if not self._ended:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def write_events(self, batch: EventBatch, suffix: bytes) -> None:
        """See EventStreamWriter."""
        if not self._ended:
            self._write(suffix.join(batch.chunked(len(suffix))))

    def end(self) -> None:
        """See EventStreamWriter."""
        self._ended = True
        self._protocol.cycle.message_event.set()  # wakes `receive`

    def abort(self) -> None:
        """See EventStreamWriter."""
        self._ended = True
        self._transport.abort()

    async def run(self) -> None:
        """See EventStreamWriter."""
        try:
            while not self._ended and (await self._receive())["type"] != "http.disconnect":
                pass
            if self._ended:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._protocol.observer = None
