"""The messages that a flow does not come to, because its user is absent without leave: due by the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from rtcli.load.accounts.absences import Cause
from rtcli.load.core.planned_sends import FlowPlan, FlowPoint, MessageCount, copy_of, publishing_times
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.users.user import User

_BATCH = 2_000  # planned messages that are looked at in one go: about 20 ms


class _Absence(NamedTuple):
    """What is to be counted: from where on, and when the user was absent. Times in seconds of the run."""

    held_at: Sequence[FlowPoint]
    times: Sequence[tuple[float, float]]
    back: float | None  # when the flow went on
    cause: Cause


class OutOfReach:
    """Accounts for what one flow does not come to. `points`: where the flow is, which it keeps up to date.

    A flow is held up from when a step waits for the connection, or fails, until it has got past that step.
    `end` is when the user's part is over (µs).
    """

    __slots__ = ("_end", "_held_at", "_points", "_user")

    def __init__(self, user: User, points: list[FlowPoint], end: int) -> None:
        self._user = user
        self._points = points
        self._end = end
        self._held_at: list[FlowPoint] = []  # where the flow was when it was held up; empty: it goes on

    @property
    def is_held_up(self) -> bool:
        """Whether the flow is held up."""
        return bool(self._held_at)

    def hold_up(self) -> None:
        """The flow cannot go on at the point where it is."""
        if not self._held_at:
            self._held_at = copy_of(self._points)

    def reached(self) -> None:
        """The flow goes on, at the point where it is. It is held up until it is as far as it was."""
        if self._held_at and self._points and self._points[0].index >= self._held_at[0].index:
            absence = self._absence(back=self._user.context.worker.now())
            for _ in self._count(absence):
                pass

    def over(self, *, never_back: bool = False) -> Iterator[None]:
        """The user's part is over. `never_back`: it gave up, and its flow says how long it stays.

        What is to be counted is settled now. It is counted in the steps of the iterator, of some 20 ms each.
        """
        self.hold_up()
        return self._count(self._absence(back=None, never_back=never_back) if self._held_at else None)

    def _absence(self, *, back: int | None, never_back: bool = False) -> _Absence | None:
        held_at, self._held_at = self._held_at, []
        worker = self._user.context.worker
        times = [
            (worker.seconds(start), worker.seconds(end))
            for start, end in self._user.presence.absent(worker.now() if back is None else back)
        ]
        if not times or times[-1][1] <= held_at[-1].started:
            return None
        if never_back:
            times[-1] = (times[-1][0], worker.seconds(self._end))
        cause = self._user.send_reports.cause_of_absence()
        return _Absence(held_at, times, None if back is None else worker.seconds(back), cause)

    def _count(self, absence: _Absence | None) -> Iterator[None]:
        if absence is None:
            return
        worker, name = self._user.context.worker, self._user.context.name
        count = MessageCount(absence.times, worker.scenario.phases, back=absence.back)
        plan = FlowPlan(
            phases=worker.scenario.phases,
            seed=worker.scenario.seed,
            user=name,
            end=worker.seconds(self._end),
            rng=seeded_rng(worker.scenario.seed, name, "plan", absence.held_at[-1].started),
        )
        messages = worker.sends.within_limit(plan.messages(absence.held_at))
        while count.add(islice(messages, _BATCH)):
            yield
        for step, _, amount, first, last in count.found:
            room = self._user.planned_rooms.name(step.room) or str(step.room)
            self._report(absence.cause, room, amount, first, last)
        self._estimate_rest(absence, count)

    def _estimate_rest(self, absence: _Absence, count: MessageCount) -> None:
        """Estimate what was not looked at: the worker has looked at as many as it may."""
        worker, role = self._user.context.worker, self._user.context.role.name
        since = count.reached if worker.sends.limit_is_reached else worker.seconds(self._end)
        times = publishing_times(absence.times, worker.scenario.phases)
        rest = publishing_times(absence.times, worker.scenario.phases, since=since)
        seconds = sum(end - start for start, end in rest)
        covered = sum(end - start for start, end in times) - seconds
        counted = sum(item.amount for item in count.found)
        if absence.back is not None:  # what it sends later does not count, so others tell nothing of it
            amount = round(counted * seconds / covered) if covered > 0 else 0
        else:
            worker.sends.add_planned(role, counted, covered)
            amount = worker.sends.estimate(role, seconds)
        if rest and amount:
            cause = absence.cause._replace(text=f"{absence.cause.text} (an estimate)")
            self._report(cause, "", amount, rest[0][0], rest[-1][1])

    def _report(self, cause: Cause, room: str, amount: int, first: float, last: float) -> None:
        worker = self._user.context.worker
        self._user.send_reports.not_reached(
            cause, room, amount, worker.microseconds(first), worker.microseconds(last)
        )
