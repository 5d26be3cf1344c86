"""A transport without a network, so that a protocol reads the same bytes at the same points each time."""

from __future__ import annotations

import asyncio
from typing import Any

from typing_extensions import override

PEER, HERE = ("192.0.2.1", 50_000), ("192.0.2.2", 80)  # RFC 5737


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, each write by itself. `reading`: its protocol has not paused that."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"peername": PEER, "sockname": HERE})
        self._loop = loop
        self._protocol = protocol
        self._closing = False
        self.reading = True
        self.lost = False
        self.written: list[bytes] = []
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        """Let the protocol read."""
        while data and not self._closing:
            protocol = self._protocol
            if isinstance(protocol, asyncio.BufferedProtocol):
                buffer = memoryview(protocol.get_buffer(len(data)))
                taken = min(len(buffer), len(data))
                buffer[:taken] = data[:taken]
                protocol.buffer_updated(taken)
                data = data[taken:]
            else:
                assert isinstance(protocol, asyncio.Protocol)
                protocol.data_received(data)
                return

    def end(self) -> None:
        """Let the peer be gone."""
        if not self.lost:
            self.lost = self._closing = True
            self._protocol.connection_lost(None)

    @override
    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing:
            self.written.append(bytes(data))

    @override
    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self.end)

    @override
    def abort(self) -> None:
        self.close()

    @override
    def is_closing(self) -> bool:
        return self._closing

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    @override
    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    @override
    def pause_reading(self) -> None:
        self.reading = False

    @override
    def resume_reading(self) -> None:
        self.reading = True

    @override
    def is_reading(self) -> bool:
        return self.reading

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore them: what is written is gone at once."""

    @override
    def get_write_buffer_size(self) -> int:
        return 0
