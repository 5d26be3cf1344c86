"""A step's open timetable: messages leave when they are due, whatever has become of those before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from rtcli.load.core.context import WorkerContext
from rtcli.load.core.schedule import seeded, send_profile
from rtcli.load.scenario.steps import Send, Typing
from rtcli.load.users.user import User

_Fire = Callable[[Send | Typing, int], bool]


class SendSchedule:
    """The moments at which one user's messages of one step are due: fixed by the seed, before the run."""

    def __init__(self, worker: WorkerContext, user: User, label: str, end: int) -> None:
        self._engine = worker
        self._user = user
        self._label = label
        self._end = end
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left: int | None = None

    async def run(self, step: Send | Typing, fire: _Fire) -> None:
        """Call `fire` for every moment from now on; returns when there are no more."""
        worker, user = self._engine, self._user
        start = worker.now()
        end = self._end
        if step.time is not None:
            end = min(end, start + round(step.time.sample(user.rng) * 1e6))
        self._left = step.count
        rng = seeded(worker.scenario.seed, user.name, self._label)
        spread = step.spread if isinstance(step, Send) else "even"
        moments = send_profile(step.rate or 0.0, worker.scenario.phases).moments(rng, spread)
        due = (worker.microseconds(moment) for moment in moments)
        self._next((moment for moment in due if moment >= start), end, step, fire)
        try:
            await self._done
        finally:
            self._left = 0

    def _next(self, due: Iterator[int], end: int, step: Send | Typing, fire: _Fire) -> None:
        moment = next(due, None)
        if moment is None or moment >= end or self._left == 0:
            if not self._done.done():
                self._done.set_result(None)
            return

        def call(when: int) -> None:
            if self._done.done() or self._engine.stopping:
                return
            if self._left is not None:
                self._left -= 1
            if not fire(step, when):
                self._engine.count(self._user.role, "dropped_sends")
            self._next(due, end, step, fire)

        self._engine.timers.call_at(moment, call)
