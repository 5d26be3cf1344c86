"""The messages that a flow does not come to, because its user is absent without leave: due by the plan."""

from __future__ import annotations

from rtcli.load.core.planned_sends import FlowPlan, FlowPoint, copy_of, count_messages
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.users.user import User


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
            self._account(back=self._user.context.worker.now())

    def over(self, *, never_back: bool = False) -> None:
        """The user's part is over. `never_back`: it gave up, and its flow says how long it stays."""
        self.hold_up()
        if self._held_at:
            self._account(back=None, never_back=never_back)

    def _account(self, *, back: int | None, never_back: bool = False) -> None:
        held_at, self._held_at = self._held_at, []
        context = self._user.context
        worker = context.worker
        absent = [
            (worker.seconds(start), worker.seconds(end))
            for start, end in self._user.presence.absent(worker.now() if back is None else back)
        ]
        if not absent or absent[-1][1] <= held_at[-1].started:
            return
        if never_back:
            absent[-1] = (absent[-1][0], worker.seconds(self._end))
        plan = FlowPlan(
            phases=worker.scenario.phases,
            seed=worker.scenario.seed,
            user=context.name,
            end=worker.seconds(self._end),
            rng=seeded_rng(worker.scenario.seed, context.name, "plan", held_at[-1].started),
        )
        found = count_messages(
            worker.sends.within_limit(plan.messages(held_at)),
            absent,
            worker.scenario.phases,
            back=None if back is None else worker.seconds(back),
        )
        for step, _, amount, first, last in found:
            room = self._user.planned_rooms.name(step.room) or str(step.room)
            self._user.send_reports.not_reached(
                room, amount, worker.microseconds(first), worker.microseconds(last)
            )
