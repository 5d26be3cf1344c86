"""Latches: what barriers and signals of a scenario open, for the users of all workers at once.

A user waits at a latch of its own worker. The coordinator decides when it opens, since it alone hears of the
users of all workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import msgspec


class AtBarrier(msgspec.Struct, frozen=True, tag=True):
    """A user has reached a barrier, which opens for everybody once `users` of them have."""

    latch: str
    users: int


class Signalled(msgspec.Struct, frozen=True, tag=True):
    """A user has given the signal that opens a latch."""

    latch: str


LatchReport: TypeAlias = AtBarrier | Signalled


class Latches:
    """The latches of one worker, by name. `report` sends to the coordinator."""

    def __init__(self, report: Callable[[LatchReport], None]) -> None:
        self._report = report
        self._events: dict[str, asyncio.Event] = {}

    def _event(self, latch: str) -> asyncio.Event:
        return self._events.setdefault(latch, asyncio.Event())

    async def wait(self, latch: str) -> None:
        """Wait until the latch is open; it stays open."""
        await self._event(latch).wait()

    def open(self, latch: str) -> None:
        """Let everybody pass who waits at the latch or comes to it later."""
        self._event(latch).set()

    def reach(self, latch: str, users: int) -> None:
        """Report that a user is at a barrier for `users` users."""
        self._report(AtBarrier(latch, users))

    def signal(self, latch: str) -> None:
        """Report that a user has given a signal."""
        self._report(Signalled(latch))
