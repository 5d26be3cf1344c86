"""One ticker for everything that is due some time: heartbeats, deadlines, expiries, graces.

A timer of the event loop per connection would cost memory and a heap of tens of thousands; a wheel of slots
costs a set entry. Times are rounded up to the next slot, so nothing is ever early.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)


class Due(Protocol):
    """What can stand on the wheel, at most once at a time. `slot` belongs to the wheel; 0 means absent."""

    slot: int

    def due(self, now: float) -> None:
        """Act; called once, when the time has come (`now` is in monotonic seconds)."""


class Wheel:
    """Holds things until they are due. `advance(now)` calls those whose time has come."""

    def __init__(self, now: float, *, resolution_s: float = 0.1) -> None:
        self.resolution_s = resolution_s
        self._slots: dict[int, set[Due]] = {}
        self._done = self._slot_of(now)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def _slot_of(self, at: float) -> int:
        return int(at / self.resolution_s) + 1

    def put(self, item: Due, at: float) -> None:
        """Call `item.due` at `at` (inf: never), instead of when it was due before."""
        if at == math.inf:
            self.remove(item)
            return
        slot = max(self._slot_of(at), self._done + 1)
        if slot == item.slot:
            return
        self.remove(item)
        item.slot = slot
        self._slots.setdefault(slot, set()).add(item)

    def remove(self, item: Due) -> None:
        """Forget `item`, if it is here."""
        if item.slot:
            standing = self._slots.get(item.slot)
            if standing is not None:
                standing.discard(item)
                if not standing:
                    del self._slots[item.slot]
            item.slot = 0

    def advance(self, now: float) -> None:
        """Call everything that is due at `now`, in order of its slots.

        What one of them raises is logged; the others are called all the same.
        """
        target = self._slot_of(now) - 1
        if target <= self._done:
            return
        # After a long stall, walking the slots that hold something is less than walking every slot.
        slots = sorted(slot for slot in self._slots if slot <= target)
        self._done = target
        for slot in slots:
            items = self._slots.pop(slot, set())
            for item in items:
                # An earlier one of this slot may have moved or removed this one.
                if item.slot == slot:
                    item.slot = 0
                    self._call(item, now)

    @staticmethod
    def _call(item: Due, now: float) -> None:
        try:
            item.due(now)
        except Exception:  # noqa: BLE001 - one of thousands must not stop the ticker
            _log.exception("a timed action failed")


class Ticker:
    """Advances a wheel with one timer of the loop, and calls `on_tick(now)`, until stopped."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel,
        clock: Callable[[], float],
        on_tick: Callable[[float], None],
    ) -> None:
        self._loop = loop
        self._wheel = wheel
        self._clock = clock
        self._on_tick = on_tick
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._timer = self._loop.call_later(self._wheel.resolution_s, self._tick)

    def stop(self) -> None:
        """End; what stands on the wheel stays there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._wheel.resolution_s, self._tick)
        now = self._clock()
        self._wheel.advance(now)
        self._on_tick(now)
