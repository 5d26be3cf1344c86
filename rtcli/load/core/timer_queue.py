"""Calls what is due: one timer for all timetables of a worker, however many messages are planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic_ns

_SLICE_US = 2_000  # how long due calls may run before connections get their turn


class Metronome:
    """Times are microseconds of the monotonic clock. Calls happen at or after their time, in its order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0
        self._stopped = False

    def at(self, when: int, call: Callable[[int], None]) -> None:
        """Call with `when` once it is that time."""
        heappush(self._due, (when, next(self._order), call))
        if self._timer is None or when < self._timer_at:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._due or self._stopped:
            return
        self._timer_at = self._due[0][0]
        wait = (self._timer_at - monotonic_ns() // 1000) / 1e6
        self._timer = self._loop.call_soon(self._run) if wait <= 0 else self._loop.call_later(wait, self._run)

    def _run(self) -> None:
        self._timer = None
        now = monotonic_ns() // 1000
        stop = now + _SLICE_US
        while self._due and self._due[0][0] <= now < stop:
            when, _, call = heappop(self._due)
            call(when)
            now = monotonic_ns() // 1000
        self._arm()

    async def sleep_until(self, when: int) -> None:
        """Sleep to a moment."""
        done: asyncio.Future[None] = self._loop.create_future()
        self.at(when, lambda _when: None if done.done() else done.set_result(None))
        await done

    def stop(self) -> None:
        """Call nothing any more."""
        self._stopped = True
        self._due.clear()
        self._arm()
