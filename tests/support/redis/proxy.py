"""The network between a broker and its Redis: it may lose answers or messages, stand still, and be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.tcp_proxy import Link, TcpProxy, Treatment, held, seen, sliced, swallowed


class RedisProxy:
    """Carries connections to a Redis, in slices; knows which of them subscribed."""

    def __init__(self, port: int, slice_bytes: int) -> None:
        self._slice_bytes = slice_bytes
        self._subscribed: set[Link] = set()
        self._deaf: set[Link] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._proxy = TcpProxy(port, self._treat)
        self.cut = self._proxy.cut

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, *, slice_bytes: int = 65_536) -> AsyncIterator[RedisProxy]:
        """Run a proxy in front of the Redis on a port."""
        proxy = cls(port, slice_bytes)
        async with proxy._proxy.running():
            yield proxy

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._proxy.port

    @property
    def url(self) -> str:
        """For `open_broker`."""
        return f"redis://127.0.0.1:{self.port}"

    def swallow_answers(self) -> None:
        """Let nothing through to the clients that only ask; their requests arrive."""
        self._deaf |= self._proxy.links - self._subscribed

    def swallow_messages(self) -> None:
        """Let nothing through to the clients that subscribed."""
        self._deaf |= self._proxy.links & self._subscribed

    def part(self) -> None:
        """Let nothing through in either direction, and let no one know: a network that is gone."""
        self._open.clear()

    def join(self) -> None:
        """Let through what was held, and everything after it."""
        self._open.set()

    def _treat(self, link: Link) -> Treatment:
        def notice(data: bytes) -> None:
            if b"\r\nSUBSCRIBE\r\n" in data:
                self._subscribed.add(link)

        lost = swallowed(lambda: link in self._deaf)
        slices = sliced(lambda: self._slice_bytes)
        return Treatment(up=(seen(notice), held(self._open), slices), down=(held(self._open), lost, slices))
