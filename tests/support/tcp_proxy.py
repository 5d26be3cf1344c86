"""A TCP proxy in front of a port of this machine, which does to connections what bad networks do.

What is done to a connection is said when it begins (`Treatment`): steps that its bytes pass on their way in
each direction, such as `sliced` or `held`, and how long it lives.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

READ_BYTES = 65_536
RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, with 0 s
Flow = AsyncIterator[bytes]
Step = Callable[[Flow], Flow]


@dataclass
class Counts:
    """What a proxy has done."""

    connections: int = 0
    resets: int = 0  # of connections whose life was over
    ends: int = 0  # the same, by FIN
    slices: int = 0
    delays: int = 0


@dataclass(frozen=True)
class Treatment:
    """What is done to one connection; `life_s`: None ends it only when one side does."""

    up: Sequence[Step] = ()
    down: Sequence[Step] = ()
    life_s: float | None = None
    resets: bool = False  # how it ends: by RST, otherwise by FIN


@dataclass(eq=False)
class Link:
    """A connection through the proxy: its two sockets."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    resets: bool = field(default=False)

    def end(self) -> None:
        """Close both sides at once; what was not sent yet is lost."""
        for writer in (self.client, self.server):
            if writer is None:
                continue
            sock = writer.get_extra_info("socket")
            if self.resets and sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
            writer.transport.abort()


def sliced(size: Callable[[], int]) -> Step:
    """Pass on at most `size()` bytes at once."""

    async def step(flow: Flow) -> Flow:
        async for data in flow:
            rest = data
            while rest:
                at_once = size()
                yield rest[:at_once]
                rest = rest[at_once:]

    return step


def delayed(rng: random.Random, counts: Counts, *, share: float, seconds: float) -> Step:
    """Hold this share of the slices back for some time, and all that comes behind them."""

    async def step(flow: Flow) -> Flow:
        async for data in flow:
            if rng.random() < share:
                counts.delays += 1
                await asyncio.sleep(seconds)
            yield data

    return step


def held(opened: asyncio.Event) -> Step:
    """Hold everything back while the event is not set."""

    async def step(flow: Flow) -> Flow:
        async for data in flow:
            await opened.wait()
            yield data

    return step


def swallowed(lost: Callable[[], bool]) -> Step:
    """Lose what comes while `lost()`; the connection stays."""

    async def step(flow: Flow) -> Flow:
        async for data in flow:
            if not lost():
                yield data

    return step


def seen(notice: Callable[[bytes], None]) -> Step:
    """Show everything that passes."""

    async def step(flow: Flow) -> Flow:
        async for data in flow:
            notice(data)
            yield data

    return step


class TcpProxy:
    """Forwards connections to a port; `treat` says for each connection what is done to it.

    `port` may be a function, which is asked for each connection.
    """

    def __init__(self, port: int | Callable[[], int], treat: Callable[[Link], Treatment]) -> None:
        self.counts = Counts()
        self.links: set[Link] = set()
        self.port = 0
        self._target = port
        self._treat = treat
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Listen on a free port, and end all connections afterwards."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all connections."""
        for link in list(self.links):
            link.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.counts.connections += 1
        link = Link(writer)
        treatment = self._treat(link)
        link.resets = treatment.resets
        self.links.add(link)
        try:
            with suppress(OSError):
                port = self._target if isinstance(self._target, int) else self._target()
                there, link.server = await asyncio.open_connection("127.0.0.1", port)
                up = self._carry(reader, treatment.up, link.server)
                down = self._carry(there, treatment.down, writer)
                await self._until_its_end(treatment, asyncio.create_task(up), asyncio.create_task(down))
        finally:
            link.end()
            self.links.discard(link)
            self._tasks.discard(task)

    async def _until_its_end(self, treatment: Treatment, *ways: asyncio.Task[None]) -> None:
        """Wait until one side ends or the connection's time has come."""
        try:
            done, _ = await asyncio.wait(ways, timeout=treatment.life_s, return_when=asyncio.FIRST_COMPLETED)
            self.counts.resets += not done and treatment.resets
            self.counts.ends += not done and not treatment.resets
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(
        self, source: asyncio.StreamReader, steps: Sequence[Step], sink: asyncio.StreamWriter
    ) -> None:
        flow = _chunks(source)
        for step in steps:
            flow = step(flow)
        async for data in flow:
            sink.write(data)
            self.counts.slices += 1
            await sink.drain()
            await asyncio.sleep(0)  # its own segment, and the others' turn


async def _chunks(source: asyncio.StreamReader) -> Flow:
    while data := await source.read(READ_BYTES):
        yield data
