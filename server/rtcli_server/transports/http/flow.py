"""The flow of bytes of an HTTP connection: whether it reads, and who waits until it can write."""

from __future__ import annotations

import asyncio

from rtcli_server.connections.event_stream_writer import TransportObserver
from rtcli_server.transports.http.options import HttpOptions


class Flow:
    """The flow of one transport, and an `Output` of the process's budget.

    `is_full`: it holds more than its high-water mark.
    """

    __slots__ = ("_drained", "_observer", "_options", "_reads", "_transport", "is_full")

    def __init__(self, options: HttpOptions, transport: asyncio.Transport) -> None:
        self._options = options
        self._transport = transport
        self._observer: TransportObserver | None = None  # an event stream that writes to the transport itself
        self._drained: asyncio.Event | None = None  # made when somebody has to wait
        self._reads = True
        self.is_full = False
        options.answers.add(self)

    def set_reading(self, *, on: bool) -> None:
        """Read what comes, or leave it with the client."""
        if on is not self._reads and not self._transport.is_closing():
            self._reads = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Write to the client, if it is still there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the transport takes more, or is closed."""
        while self.is_full:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def report_to(self, observer: TransportObserver | None) -> None:
        """Report to an event stream what happens to the transport, or to nobody any more."""
        self._observer = observer

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes of answers that wait in the transport.

        0 when another counts them: an event stream, or the WebSocket that took the transport over.
        """
        answers = self._observer is None and self in self._options.answers.outputs
        return self._transport.get_write_buffer_size() if answers else 0

    def cut_off(self) -> None:
        """Drop a client that does not read its answers."""
        self._transport.abort()

    def set_full(self, *, on: bool) -> None:
        """Tell who waits: the transport holds more than its high-water mark, or has drained."""
        self.is_full = on
        if not on:
            self._options.answers.drained(self)
            self._wake()
        elif self._observer is None:
            self._options.answers.busy(self, self._options.clock.now())
        if self._observer is not None:
            self._observer.set_busy(on=on)

    def let_go(self) -> None:
        """Forget the transport: it is closed, or another protocol takes it over."""
        self._options.answers.remove(self)

    def lost(self) -> None:
        """The transport is closed."""
        self.let_go()
        self.is_full = False
        self._wake()
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.lost()  # at once: a write after this raises

    def _wake(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.set()
