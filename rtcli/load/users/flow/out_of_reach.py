"""The messages that a flow does not come to: due by the plan.

Its user is absent without leave, or the load generator itself stood still until the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rtcli.load.accounts.absences import SENDS_STALLED, Cause
from rtcli.load.accounts.attendance import MIN_GRACE_US
from rtcli.load.core.not_reached import BATCH, count_not_reached
from rtcli.load.core.planned_sends import FlowPlan, FlowPoint, copy_of
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.scenario.steps import Send
from rtcli.load.users.user import User


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

    def reached(self) -> Iterator[None]:
        """The flow goes on, at the point where it is. It is held up until it is as far as it was.

        What it did not come to is settled now, and counted in the steps of the iterator, of some 20 ms each.
        """
        if self._held_at and self._points and self._points[0].index >= self._held_at[0].index:
            return self._count(self._absence(back=self._user.context.worker.now()))
        return iter(())

    def over(self, *, never_back: bool = False) -> Iterator[None]:
        """The user's part is over. `never_back`: it gave up, and its flow says how long it stays.

        What is to be counted is settled now. It is counted in the steps of the iterator, of some 20 ms each.
        """
        self.hold_up()
        held_at = self._held_at
        if not held_at:
            return iter(())
        absence = self._absence(back=None, never_back=never_back)
        return self._count(absence or self._stood_still(held_at))

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

    def _stood_still(self, held_at: Sequence[FlowPoint]) -> _Absence | None:
        """What the flow would have come to, had the load generator not stood still at its last step."""
        worker = self._user.context.worker
        since = worker.microseconds(held_at[-1].started)
        stalls = worker.stalls.during(since, min(worker.now(), self._end))
        if sum(end - start for start, end in stalls) < MIN_GRACE_US:
            return None
        times = [(worker.seconds(start), worker.seconds(end)) for start, end in stalls]
        return _Absence(held_at, times, None, SENDS_STALLED)

    def unsent(self, step: Send, times: Iterator[int]) -> Iterator[None]:
        """The messages of a schedule that were due at these times (µs), and not sent: it stood still, too.

        They are counted in the steps of the iterator, of some 20 ms each.
        """
        sends = self._user.context.worker.sends
        room = self._user.planned_rooms.name(step.room) or str(step.room)
        found: dict[str, tuple[int, int, int]] = {}  # by phase: how many, and when the first and last was due
        for number, at in enumerate(sends.within_limit(times), 1):
            phase = sends.phase(at)
            count, first, _ = found.get(phase, (0, at, at))
            found[phase] = count + 1, first, at
            if number % BATCH == 0:
                yield
        for count, first, last in found.values():
            self._user.send_reports.not_reached(SENDS_STALLED, room, count, first, last)

    def _count(self, absence: _Absence | None) -> Iterator[None]:
        if absence is None:
            return
        worker, context = self._user.context.worker, self._user.context
        plan = FlowPlan(
            phases=worker.scenario.phases,
            seed=worker.scenario.seed,
            user=context.name,
            end=worker.seconds(self._end),
            rng=seeded_rng(worker.scenario.seed, context.name, "plan", absence.held_at[-1].started),
        )

        def report(step: Send | None, amount: int, first: float, last: float) -> None:
            if step is None:
                cause = absence.cause._replace(text=f"{absence.cause.text} (an estimate)")
                self._report(cause, "", amount, first, last)
            else:
                room = self._user.planned_rooms.name(step.room) or str(step.room)
                self._report(absence.cause, room, amount, first, last)

        yield from count_not_reached(
            worker.sends,
            context.role.name,
            plan,
            absence.held_at,
            absence.times,
            back=absence.back,
            report=report,
        )

    def _report(self, cause: Cause, room: str, amount: int, first: float, last: float) -> None:
        worker = self._user.context.worker
        self._user.send_reports.not_reached(
            cause, room, amount, worker.microseconds(first), worker.microseconds(last)
        )
