"""Timeouts that do not count the time in which the load generator itself stands still.

When a process stands still (stopped, throttled, swapped out) past a deadline, its timers are called before
what has arrived meanwhile is handled. So a timeout that is late gives back what it is late by.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic

_LATE_S = 0.05  # an event loop that is busy is late by less


@contextlib.asynccontextmanager
async def patient_timeout(seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout`, but for time in which the event loop stood still past the deadline."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as scope:

        def expire(deadline: float) -> None:
            nonlocal timer
            late = monotonic() - deadline
            if late > _LATE_S:
                timer = loop.call_later(late, expire, deadline + 2 * late)
            else:
                scope.reschedule(loop.time())

        timer = loop.call_later(seconds, expire, monotonic() + seconds)
        try:
            yield
        finally:
            timer.cancel()
