"""Which messages a flow would send from a point on, by the plan: for a user that cannot get there. Pure.

The flow is followed as if everything succeeded at once: what waits for the server takes no time, pauses are
drawn from the generator that is given, and schedules are those of the seed. Where nothing tells how long a
step takes (a barrier, a signal, a loop without a pause of its own), the plan ends: nothing is guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from rtcli.load.core.schedule import phase_bounds, seeded_rng, send_profile
from rtcli.load.scenario.model import Phase
from rtcli.load.scenario.steps import BackoffStep, Choose, Expect, Hold, Loop, Send, Step, Think, Typing, Wait


@dataclass(slots=True)
class FlowPoint:
    """A point in a flow, in one of its lists of steps. The points in the lists around it belong to it.

    `started` is when the step at `index` was begun, `sent` how many of its messages have been due already;
    `scheduled`: its schedule runs by itself. `loop`: these are the steps of this loop, in its round number
    `rounds`, which goes on to `until`. Times in seconds of the run.
    """

    steps: Sequence[Step]
    index: int = 0
    started: float = 0.0
    sent: int = 0
    scheduled: bool = False
    loop: Loop | None = None
    rounds: int = 1
    until: float | None = None

    def begin(self, index: int, now: float) -> None:
        """The flow begins the step at this index."""
        self.index, self.started, self.sent, self.scheduled = index, now, 0, False


class DueMessage(NamedTuple):
    """A message that is due by the plan. `endless`: of a loop or schedule that goes on while the user stays.

    A user that is back goes on where it was: messages that are not endless come later then.
    """

    at: float
    step: Send
    endless: bool


class _PlanEndsError(Exception):
    """The plan ends here."""


@dataclass(slots=True)
class FlowPlan:
    """The plan of one user, whose part ends at `end` (seconds of the run)."""

    phases: Sequence[Phase]
    seed: int
    user: str
    end: float
    rng: Random
    _now: float = field(default=0.0, init=False)

    def messages(self, points: Sequence[FlowPoint]) -> Iterator[DueMessage]:
        """The messages that are due from a point on, by time. `points`: the outermost first."""
        self._now = points[-1].started if points else self.end
        stopped = [(start, end) for phase, start, end in phase_bounds(self.phases) if not phase.publish]
        try:
            for due in self._from(points):
                if due.at >= self.end:
                    return
                if not any(start <= due.at < end for start, end in stopped):
                    yield due
        except _PlanEndsError:
            return

    def _from(self, points: Sequence[FlowPoint]) -> Iterator[DueMessage]:
        inner = True
        for depth in range(len(points) - 1, -1, -1):
            point = points[depth]
            endless = any(_is_endless(outer.loop) for outer in points[: depth + 1])
            rest = point.steps[point.index + (not inner) :]
            if inner and point.scheduled:
                raise _PlanEndsError
            if inner and rest and isinstance(rest[0], Send):
                yield from self._send(rest[0], endless=endless, sent=point.sent)
                rest = rest[1:]
            yield from self._steps(rest, endless=endless)
            if point.loop is not None:
                yield from self._loop(point.loop, endless=endless, rounds=point.rounds, until=point.until)
            inner = False

    def _steps(self, flow: Sequence[Step], *, endless: bool) -> Iterator[DueMessage]:
        for step in flow:
            if self._now >= self.end:
                raise _PlanEndsError
            if isinstance(step, Send):
                yield from self._send(step, endless=endless)
            elif isinstance(step, Loop):
                yield from self._loop(step, endless=endless or _is_endless(step))
            elif isinstance(step, Choose):
                weights = [choice.weight for choice in step.choices]
                (choice,) = self.rng.choices(step.choices, weights)
                yield from self._steps(choice.steps, endless=endless)
            else:
                self._pass(step)

    def _loop(
        self, loop: Loop, *, endless: bool, rounds: int = 0, until: float | None = None
    ) -> Iterator[DueMessage]:
        if until is None and loop.time is not None:
            until = self._now + loop.time.sample(self.rng)
        while (loop.times is None or rounds < loop.times) and (until is None or self._now < until):
            before = self._now
            rounds += 1
            yield from self._steps(loop.steps, endless=endless)
            if self._now <= before and loop.times is None:
                raise _PlanEndsError  # its pace is that of the server's answers

    def _send(self, step: Send, *, endless: bool, sent: int = 0) -> Iterator[DueMessage]:
        if step.rate is None:
            for _ in range(sent, step.count or 1):
                yield DueMessage(self._now, step, endless)
            return
        end, last = self.end, self._now
        if step.time is not None:
            end = min(end, self._now + step.time.sample(self.rng))
        left = step.count
        for at in self._times(step):
            if at >= end or left == 0:
                break
            if at >= self._now:
                left = None if left is None else left - 1
                last = at
                yield DueMessage(at, step, endless or (step.count is None and step.time is None))
        self._now = last if left == 0 else end

    def _times(self, step: Send) -> Iterator[float]:
        profile = send_profile(step.rate or 0.0, self.phases)
        return profile.times(seeded_rng(self.seed, self.user, step.label), step.spread)

    def _pass(self, step: Step) -> None:
        """Go past a step that sends nothing."""
        match step:
            case Think() | Hold():
                if step.time is None:
                    raise _PlanEndsError
                self._now += step.time.sample(self.rng)
            case Typing() if step.rate is not None:
                if step.time is None:
                    raise _PlanEndsError  # with a `count`, too: where its schedule ends says little
                self._now += step.time.sample(self.rng)
            case Expect() if step.absent:
                self._now += step.within
            case BackoffStep():
                self._now += step.backoff.delay(self.rng, 0)
            case Wait():
                if step.phase is None:
                    raise _PlanEndsError
                bounds = phase_bounds(self.phases)
                start = next(start for phase, start, _ in bounds if phase.name == step.phase)
                self._now = max(self._now, start)
            case _:
                pass


def _is_endless(loop: Loop | None) -> bool:
    return loop is not None and loop.times is None and loop.time is None


class NotReached(NamedTuple):
    """Messages of one step in one phase that a user did not come to. Times in seconds of the run."""

    step: Send
    phase: str
    amount: int
    first: float
    last: float


class MessageCount:
    """Counts the messages that were due during the times of absence. `back`: the flow goes on from then on.

    A flow that goes on sends later what does not depend on the time. Of the messages that it did not come
    to, only those of endless loops and schedules count; of loops, all but the one that it goes on with.
    `schedules` False: it sends late what has a rate.
    """

    def __init__(
        self,
        absent: Sequence[tuple[float, float]],
        phases: Sequence[Phase],
        *,
        back: float | None,
        schedules: bool = True,
    ) -> None:
        self.reached = 0.0  # when the last message that it has looked at is due
        self._absent = absent
        self._phases = [(phase.name, end) for phase, _, end in phase_bounds(phases)]
        self._back = back
        self._schedules = schedules
        self._counts: dict[tuple[str, str], NotReached] = {}
        self._waiting = Counter[str]()

    @property
    def found(self) -> list[NotReached]:
        """What it has counted."""
        return list(self._counts.values())

    def add(self, messages: Iterable[DueMessage]) -> bool:
        """Count the next messages, by time; returns whether there were any before the flow went on."""
        some = False
        for due in messages:
            if self._back is not None and due.at >= self._back:
                return False
            some, self.reached = True, due.at
            if not self._comes_later(due) and any(start <= due.at < end for start, end in self._absent):
                self._count(due)
        return some

    def _comes_later(self, due: DueMessage) -> bool:
        if self._back is None:
            return False
        if not due.endless or (due.step.rate is not None and not self._schedules):
            return True
        self._waiting[due.step.label] += due.step.rate is None
        return due.step.rate is None and self._waiting[due.step.label] == 1

    def _count(self, due: DueMessage) -> None:
        phase = next((name for name, end in self._phases if due.at < end), self._phases[-1][0])
        found = self._counts.get((due.step.label, phase))
        self._counts[due.step.label, phase] = (
            NotReached(due.step, phase, 1, due.at, due.at)
            if found is None
            else found._replace(amount=found.amount + 1, last=due.at)
        )


def publishing_times(
    absent: Sequence[tuple[float, float]], phases: Sequence[Phase], *, since: float = 0.0
) -> list[tuple[float, float]]:
    """The parts of the times of absence, from `since` on, in which messages are due."""
    parts = [
        (max(start, begin, since), min(end, stop))
        for phase, begin, stop in phase_bounds(phases)
        if phase.publish
        for start, end in absent
    ]
    return [(start, end) for start, end in parts if start < end]


def copy_of(points: Iterable[FlowPoint]) -> list[FlowPoint]:
    """A copy of a point that the flow may change."""
    return [replace(point) for point in points]
