"""One ticker for every timer of the server: heartbeats, deadlines, token expiry, grace periods.

A timer of the event loop per connection would cost memory and a heap of tens of thousands of entries. Here a
timer costs one entry in a set. Times are rounded up to the next slot, so no timer fires early.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)


class Timer(Protocol):
    """What can be scheduled, once at a time. `slot` belongs to the wheel; 0 means not scheduled."""

    slot: int

    def on_timer(self, now: float) -> None:
        """Act; called once when the time has come. `now` is in monotonic seconds."""


class TimerWheel:
    """Holds timers until their time has come. Times are monotonic seconds."""

    def __init__(self, now: float, *, resolution_s: float = 0.1) -> None:
        self.resolution_s = resolution_s
        self._slots: dict[int, set[Timer]] = {}
        self._last_slot = self._slot_of(now)  # all slots up to this one were handled

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def _slot_of(self, at: float) -> int:
        return int(at / self.resolution_s) + 1

    def schedule(self, timer: Timer, at: float) -> None:
        """Call `timer.on_timer` at `at` (inf: never). This replaces the time it was scheduled for before."""
        if at == math.inf:
            self.cancel(timer)
            return
        slot = max(self._slot_of(at), self._last_slot + 1)
        if slot == timer.slot:
            return
        self.cancel(timer)
        timer.slot = slot
        self._slots.setdefault(slot, set()).add(timer)

    def cancel(self, timer: Timer) -> None:
        """Take `timer` off the wheel if it is scheduled."""
        if timer.slot:
            timers = self._slots.get(timer.slot)
            if timers is not None:
                timers.discard(timer)
                if not timers:
                    del self._slots[timer.slot]
            timer.slot = 0

    def advance(self, now: float) -> None:
        """Fire every timer whose time has come at `now`, in the order of their slots.

        An exception from a timer is logged; the other timers still fire.
        """
        target = self._slot_of(now) - 1
        if target <= self._last_slot:
            return
        # After a long stall, going through the occupied slots is less work than going through all slots.
        slots = sorted(slot for slot in self._slots if slot <= target)
        self._last_slot = target
        for slot in slots:
            timers = self._slots.pop(slot, set())
            for timer in timers:
                # A timer of this slot that fired before may have moved or cancelled this one.
                if timer.slot == slot:
                    timer.slot = 0
                    self._fire(timer, now)

    @staticmethod
    def _fire(timer: Timer, now: float) -> None:
        try:
            timer.on_timer(now)
        except Exception:  # noqa: BLE001 - one of thousands must not stop the ticker
            _log.exception("a timer failed")


class Ticker:
    """Advances a wheel, and calls `on_tick(now)` after that. `clock` gives monotonic seconds."""

    def __init__(
        self, wheel: TimerWheel, clock: Callable[[], float], on_tick: Callable[[float], None]
    ) -> None:
        self._wheel = wheel
        self._clock = clock
        self._on_tick = on_tick

    async def run(self) -> None:
        """Tick until cancelled. Timers on the wheel stay there."""
        now = self._clock()
        while True:
            # The time between the beginnings of two ticks: what a tick takes is not added to it.
            await asyncio.sleep(now + self._wheel.resolution_s - self._clock())
            now = self._clock()
            self._wheel.advance(now)
            self._on_tick(now)
