"""A bad network: a TCP proxy that slices what it carries, holds it back, and breaks connections off.

Each connection gets a temper by chance: some are carried byte by byte, others in slices of any size, and each
ends after some time, wherever it is in the middle of: by RST, or by a FIN to both sides.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

CALM_SLICE_BYTES = 1_000
RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, with 0 s


@dataclass
class Counts:
    """What the network did."""

    connections: int = 0
    resets: int = 0
    ends: int = 0
    slices: int = 0
    delays: int = 0


@dataclass(frozen=True)
class Temper:
    """How one connection is treated. Times in seconds."""

    slice_bytes: int
    delay_share: float  # of its slices
    delay_s: float
    life_s: float
    resets: bool

    @classmethod
    def draw(cls, rng: random.Random, life_s: float) -> Temper:
        """Any of them."""
        single = rng.random() < 0.4
        return cls(
            slice_bytes=1 if single else rng.choice((2, 7, 64, 1_000, 65_536)),
            delay_share=0.0005 if single else 0.05,
            delay_s=rng.uniform(0.0, 0.1),
            life_s=rng.uniform(0.2, 2.0) * life_s,
            resets=rng.random() < 0.7,
        )


class RoughNetwork:
    """In front of a port of this machine; `calm` ends the breaking off and the fine slicing."""

    def __init__(self, port: int, rng: random.Random, life_s: float) -> None:
        self._target = port
        self._rng = rng
        self._life_s = life_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._calm = False
        self.counts = Counts()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, *, seed: int, life_s: float) -> AsyncIterator[RoughNetwork]:
        """Run one; its connections live for `life_s` on average."""
        network = cls(port, random.Random(seed), life_s)
        server = await asyncio.start_server(network._serve, "127.0.0.1", 0)
        network.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield network
        finally:
            server.close()
            for task in list(network._tasks):
                task.cancel()
            await asyncio.gather(*network._tasks, return_exceptions=True)

    def calm(self) -> None:
        """Break off no connection that begins from now on, and slice none finely."""
        self._calm = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.counts.connections += 1
        temper = Temper.draw(self._rng, self._life_s)
        try:
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    await self._carry(temper, (reader, back), (there, writer))
                finally:
                    self._end(back, temper)
        finally:
            self._end(writer, temper)
            self._tasks.discard(task)

    async def _carry(
        self,
        temper: Temper,
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        down: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Both ways, until one side ends or the connection's time has come."""
        ways = [asyncio.create_task(self._forward(temper, *way)) for way in (up, down)]
        try:
            life_s = None if self._calm else temper.life_s
            done, _ = await asyncio.wait(ways, timeout=life_s, return_when=asyncio.FIRST_COMPLETED)
            if not done and temper.resets:
                self.counts.resets += 1
            elif not done:
                self.counts.ends += 1
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    @staticmethod
    def _end(writer: asyncio.StreamWriter, temper: Temper) -> None:
        sock = writer.get_extra_info("socket")
        if temper.resets and sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        writer.transport.abort()

    async def _forward(
        self, temper: Temper, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(65_536):
            while data:
                if self._rng.random() < temper.delay_share:
                    self.counts.delays += 1
                    await asyncio.sleep(temper.delay_s)
                size = max(temper.slice_bytes, CALM_SLICE_BYTES) if self._calm else temper.slice_bytes
                sink.write(data[:size])
                data = data[size:]
                self.counts.slices += 1
                await sink.drain()
                await asyncio.sleep(0)  # its own segment, and the others' turn
