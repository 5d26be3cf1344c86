"""A peer that sends the same bytes again and again, as fast as the server takes them."""

from __future__ import annotations

import asyncio
import time

from typing_extensions import override

from tests.support.clients.peers import Peer

WRITE_BYTES = 65_536  # at once, or a little more


class Pump(Peer):
    """Sends `first`, then whole pieces of `data` for some seconds. It reads what comes, or never reads.

    `done` is done when the time is over or the connection is gone. `sent_bytes` includes what the kernel has.
    """

    def __init__(self, data: bytes, *, first: bytes = b"", seconds: float, reads: bool) -> None:
        super().__init__(first)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent_bytes = 0
        self.received_bytes = 0
        self._data = data * max(1, WRITE_BYTES // len(data))
        self._end = time.monotonic() + seconds
        self._reads = reads
        self._full = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._reads:
            self.transport.pause_reading()
        asyncio.get_running_loop().call_later(self._end - time.monotonic(), self._finish)
        self._pump()

    @override
    def data_received(self, data: bytes) -> None:
        """Count it: there may be much of it."""
        self.received_bytes += len(data)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._full = True

    def resume_writing(self) -> None:
        """Send on."""
        self._full = False
        self._pump()

    def _pump(self) -> None:
        if not self._full and not self.done.done() and not self.transport.is_closing():
            self.transport.write(self._data)
            self.sent_bytes += len(self._data)
            asyncio.get_running_loop().call_soon(self._pump)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
