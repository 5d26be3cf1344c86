"""Watches how late the event loop of a worker is: what arrives meanwhile waits to be read."""

from __future__ import annotations

import asyncio

from rtcli.load.core.context import WorkerContext
from rtcli.load.run.health.seconds import PROBE_S


class LoopWatch:
    """Probes the event loop every 10 ms, and keeps the lateness of each probe as `loop_lag`.

    A loop that stands still runs one probe instead of many. The others count as well, each with what was left
    of the stall when it was due: else a stall of a second would be one late sample among a hundred. Only what
    is longer than `stall` seconds is called a stall.
    """

    def __init__(self, context: WorkerContext, stall: float) -> None:
        self._context = context
        self._stall = stall
        self._lag = context.store.recorder("loop_lag")
        self._count = context.store.recorder("loop_stalls")
        self._stalls: list[tuple[float, float]] = []

    async def run(self) -> None:
        """Probe until cancelled."""
        now = self._context.now
        while True:
            due = now() + round(PROBE_S * 1e6)
            self._context.stalls.expect(due)
            await asyncio.sleep(PROBE_S)
            self.add_probe(due, now())

    def add_probe(self, due: int, ran: int) -> None:
        """Record that a probe that was due at one time ran at another (µs)."""
        context = self._context
        context.stalls.add(due, ran)
        for at in range(due, max(due, ran) + 1, round(PROBE_S * 1e6)):
            self._lag.record(context.bin_key(at), ran - at)
        if ran - due > self._stall * 1e6:
            self._stalls.append((context.seconds(due), context.seconds(ran)))
            self._count.add(context.bin_key(ran))

    def take_stalls(self) -> tuple[tuple[float, float], ...]:
        """The stalls since the last call: from and to, in seconds since the start of the run."""
        stalls, self._stalls = tuple(self._stalls), []
        return stalls
