"""The schedule of a step's messages: each is sent when it is due, whatever became of those before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain

from rtcli.load.accounts.attendance import MIN_GRACE_US
from rtcli.load.core.schedule import Spread, seeded_rng, send_profile
from rtcli.load.scenario.steps import Send, Typing
from rtcli.load.users.context import UserContext

_Send = Callable[[int], bool]
"""Sends the message that is due at a time; returns whether it could be sent."""


class SendSchedule:
    """When one user's messages of one step are due, until `end`: the seed fixes it before the run.

    `late`: it should have begun so many µs ago, and what was due since then is sent at once, late.
    """

    def __init__(self, context: UserContext, label: str, end: int, *, late: int = 0) -> None:
        self._context = context
        self._worker = context.worker
        self._label = label
        self._end = end
        self._late = late
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left: int | None = None  # messages; None: no limit
        self._next: int | None = None  # when the first that is not sent yet is due
        self._due: Iterator[int] = iter(())  # when those behind it are

    async def run(self, step: Send | Typing, send: _Send, *, spread: Spread) -> None:
        """Call `send` at each time from now on; returns when there are no more."""
        worker, context = self._worker, self._context
        start = worker.now() - self._late
        if step.time is not None:
            self._end = min(self._end, start + round(step.time.sample(context.rng) * 1e6))
        self._left = step.count
        rng = seeded_rng(worker.scenario.seed, context.name, self._label)
        times = send_profile(step.rate or 0.0, worker.scenario.phases).times(rng, spread)
        due = (worker.microseconds(seconds) for seconds in times)
        self._due = (when for when in due if when >= start)
        self._plan_next(send)
        await self._done

    def unsent(self, now: int) -> Iterator[int]:
        """When messages were due that are not sent, if it is cut off now, and so late that it stood still."""
        until = min(now, self._end)
        if self._next is None or until - self._next < MIN_GRACE_US:
            return
        for number, when in enumerate(chain((self._next,), self._due)):
            if when >= until or number == self._left:
                return
            yield when

    def _plan_next(self, send: _Send) -> None:
        self._next = following = next(self._due, None)
        if following is None or following >= self._end or self._left == 0:
            if not self._done.done():
                self._done.set_result(None)
            return

        def fire(when: int) -> None:
            if self._done.done() or self._worker.stopping:
                return
            if self._left is not None:
                self._left -= 1
            try:
                sent = send(when)
            except Exception as error:  # noqa: BLE001 - the flow that waits for the schedule gets it
                self._done.set_exception(error)
                return
            if not sent:
                self._context.count("dropped_sends")
            self._plan_next(send)

        self._worker.timers.call_at(following, fire)
