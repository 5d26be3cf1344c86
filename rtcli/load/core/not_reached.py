"""Counts by the plan what flows did not come to; what is too much to look at is estimated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.sends import Sends, UnsentKey, UnsentMessage
from rtcli.load.core.planned_sends import FlowPlan, FlowPoint, MessageCount, publishing_times
from rtcli.load.core.schedule import seeded_rng
from rtcli.load.scenario.model import Role, Scenario
from rtcli.load.scenario.steps import Send

BATCH = 2_000  # planned messages that are looked at in one go: about 20 ms

Report = Callable[[Send | None, int, float, float], None]
"""Gets messages of one step and phase: how many, and when the first and the last are due (seconds of the
run). None for the step: an estimate, of several steps."""


def count_not_reached(
    sends: Sends,
    role: str,
    plan: FlowPlan,
    held_at: Sequence[FlowPoint],
    times: Sequence[tuple[float, float]],
    *,
    back: float | None,
    report: Report,
    schedules: bool = True,
) -> Iterator[None]:
    """Report what a flow did not come to during some times (seconds of the run), in steps of some 20 ms each.

    `held_at`: where it was. `back`: when it went on, if it did. `schedules` False: what has a rate is sent
    all the same.
    """
    count = MessageCount(times, plan.phases, back=back, schedules=schedules)
    messages = sends.within_limit(plan.messages(held_at))
    while count.add(islice(messages, BATCH)):
        yield
    for step, _, amount, first, last in count.found:
        report(step, amount, first, last)
    _estimate_rest(sends, role, plan, count, times, back=back, report=report)


def _estimate_rest(
    sends: Sends,
    role: str,
    plan: FlowPlan,
    count: MessageCount,
    times: Sequence[tuple[float, float]],
    *,
    back: float | None,
    report: Report,
) -> None:
    """Estimate what was not looked at: the worker has looked at as many as it may."""
    since = count.reached if sends.limit_is_reached else plan.end
    rest = publishing_times(times, plan.phases, since=since)
    seconds = sum(end - start for start, end in rest)
    covered = sum(end - start for start, end in publishing_times(times, plan.phases)) - seconds
    counted = sum(item.amount for item in count.found)
    if back is not None:  # what it sends later does not count, so others tell nothing of it
        amount = round(counted * seconds / covered) if covered > 0 else 0
    else:
        sends.add_planned(role, counted, covered)
        amount = sends.estimate(role, seconds)
    if rest and amount:
        report(None, amount, rest[0][0], rest[-1][1])


class UnstartedUser:
    """A user of a role whom the load generator did not start, or too late: what it should have sent.

    `start` and `end` (seconds of the run) are of its part, by plan.
    """

    def __init__(self, scenario: Scenario, role: Role, name: str, start: float, end: float) -> None:
        self._role = role
        self._name = name
        self._start = start
        self._plan = FlowPlan(
            phases=scenario.phases,
            seed=scenario.seed,
            user=name,
            end=end,
            rng=seeded_rng(scenario.seed, name, "plan", start),
        )

    def count(
        self, sends: Sends, base: int, until: float, cause: Cause, *, started: bool = False
    ) -> Iterator[None]:
        """Account for what it did not come to before `until`, in steps of some 20 ms each.

        `base` is the start of the run (µs). `started`: it began then, and sends late what has a rate.
        """

        def report(step: Send | None, amount: int, first: float, last: float) -> None:
            text = cause.text if step is not None else f"{cause.text} (an estimate)"
            key = UnsentKey("not_sendable", self._role.name, cause.code, text, "", cause.own)
            room = "" if step is None else step.room.constant or ""
            message = UnsentMessage(self._name, room, base + round(first * 1e6))
            sends.not_reached(key, message, amount, base + round(last * 1e6))

        held_at = [FlowPoint(self._role.flow, started=self._start)]
        times, back = [(self._start, until)], until if started else None
        yield from count_not_reached(
            sends,
            self._role.name,
            self._plan,
            held_at,
            times,
            back=back,
            report=report,
            schedules=not started,
        )
