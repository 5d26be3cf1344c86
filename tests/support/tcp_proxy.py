"""A TCP proxy that swallows, cuts and slices, between a broker and its Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Proxy:
    """Forwards connections to a port. What it swallows is lost while the connection stays."""

    def __init__(self, port: int, slice_bytes: int) -> None:
        self._target = port
        self._slice = slice_bytes
        self._deaf: set[asyncio.StreamWriter] = set()
        self._clients: dict[asyncio.StreamWriter, bool] = {}  # client side, and whether it subscribed
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, *, slice_bytes: int = 65_536) -> AsyncIterator[Proxy]:
        """Run a proxy in front of a port of this machine."""
        proxy = cls(port, slice_bytes)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        proxy.url = f"redis://127.0.0.1:{proxy.port}"
        try:
            yield proxy
        finally:
            server.close()
            for task in list(proxy._tasks):
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)
            proxy.cut()

    def swallow_answers(self) -> None:
        """Let nothing through to the clients that only ask; their requests arrive."""
        self._deaf |= {client for client, subscribed in self._clients.items() if not subscribed}

    def swallow_messages(self) -> None:
        """Let nothing through to the clients that subscribed."""
        self._deaf |= {client for client, subscribed in self._clients.items() if subscribed}

    def part(self) -> None:
        """Let nothing through in either direction, and let no one know: a network that is gone."""
        self._open.clear()

    def join(self) -> None:
        """Let through what was held, and everything after it."""
        self._open.set()

    def cut(self) -> None:
        """End all connections."""
        for client in list(self._clients):
            client.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients[writer] = False
        try:
            with suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._target)
                try:
                    up = asyncio.create_task(self._forward(reader, back, client=writer, down=False))
                    down = asyncio.create_task(self._forward(there, writer, client=writer, down=True))
                    try:
                        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        up.cancel()
                        down.cancel()
                        await asyncio.gather(up, down, return_exceptions=True)
                finally:
                    back.transport.abort()
        finally:
            writer.transport.abort()
            self._clients.pop(writer, None)
            self._deaf.discard(writer)
            self._tasks.discard(task)

    async def _forward(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        client: asyncio.StreamWriter,
        down: bool,
    ) -> None:
        while data := await source.read(65_536):
            if not down and b"\r\nSUBSCRIBE\r\n" in data:
                self._clients[client] = True
            await self._open.wait()
            if down and client in self._deaf:
                continue
            for start in range(0, len(data), self._slice):
                sink.write(data[start : start + self._slice])
                await sink.drain()
                if self._slice < len(data):
                    await asyncio.sleep(0)
