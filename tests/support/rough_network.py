"""A bad network: it slices what it carries, holds it back, and breaks connections off.

Each connection is treated by chance: some are carried byte by byte, others in slices of any size, and each
ends after some time, wherever it is in the middle of: by RST, or by a FIN to both sides.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.tcp_proxy import Counts, Link, TcpProxy, Treatment, delayed, sliced

CALM_SLICE_BYTES = 1_000


class RoughNetwork:
    """In front of a port of this machine; `calm` ends the breaking off and the fine slicing."""

    def __init__(self, port: int, rng: random.Random, life_s: float) -> None:
        self._rng = rng
        self._life_s = life_s
        self._calm = False
        self._proxy = TcpProxy(port, self._treat)

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int, *, seed: int, life_s: float) -> AsyncIterator[RoughNetwork]:
        """Run one; its connections live for `life_s` on average."""
        network = cls(port, random.Random(seed), life_s)
        async with network._proxy.running():
            yield network

    @property
    def url(self) -> str:
        """For clients."""
        return f"http://127.0.0.1:{self._proxy.port}"

    @property
    def counts(self) -> Counts:
        """What it has done."""
        return self._proxy.counts

    def calm(self) -> None:
        """Break off no connection that begins from now on, and slice none finely."""
        self._calm = True

    def _treat(self, _link: Link) -> Treatment:
        rng = self._rng
        single = rng.random() < 0.4
        slice_bytes = 1 if single else rng.choice((2, 7, 64, 1_000, 65_536))
        delay = delayed(rng, self.counts, share=0.0005 if single else 0.05, seconds=rng.uniform(0.0, 0.1))
        life_s = rng.uniform(0.2, 2.0) * self._life_s
        steps = (sliced(lambda: max(slice_bytes, CALM_SLICE_BYTES) if self._calm else slice_bytes), delay)
        return Treatment(
            up=steps, down=steps, life_s=None if self._calm else life_s, resets=rng.random() < 0.7
        )
