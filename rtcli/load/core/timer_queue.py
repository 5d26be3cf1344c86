"""Calls what is due: one event-loop timer for all planned messages of a worker, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic_ns

_SLICE_US = 2_000  # how long due callbacks may run before connections get their turn


class TimerQueue:
    """Callbacks by time, in microseconds of the monotonic clock. None is called before its time.

    A callback that raises does not hold up the others: `on_error` gets its exception.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0
        self._stopped = False

    def call_at(self, when: int, callback: Callable[[int], None]) -> None:
        """Call `callback(when)` at that time or soon after; callbacks of one time in order."""
        heappush(self._due, (when, next(self._order), callback))
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
            when, _, callback = heappop(self._due)
            try:
                callback(when)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                self._on_error(error)
            now = monotonic_ns() // 1000
        self._arm()

    async def sleep_until(self, when: int) -> None:
        """Sleep until that time."""
        done: asyncio.Future[None] = self._loop.create_future()
        self.call_at(when, lambda _when: None if done.done() else done.set_result(None))
        await done

    def stop(self) -> None:
        """Drop all callbacks and call nothing any more."""
        self._stopped = True
        self._due.clear()
        self._arm()
