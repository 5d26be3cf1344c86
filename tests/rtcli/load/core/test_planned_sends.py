"""Which messages a user would have sent that did not get there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from rtcli.load.core.planned_sends import (
    DueMessage,
    FlowPlan,
    FlowPoint,
    MessageCount,
    NotReached,
    copy_of,
    publishing_times,
)
from rtcli.load.core.schedule import seeded_rng, send_profile
from rtcli.load.scenario.model import Phase, Scenario
from rtcli.load.scenario.steps import Loop, Step
from tests.support.load.runs import scenario

PHASES = """phases:
      - { name: calm, for: 10s }
      - { name: peak, for: 10s, rates: x2 }
      - { name: drain, for: 5s, publish: stop }"""


def of_flow(flow: str) -> Scenario:
    return scenario(
        f"""
    name: plan
    seed: 4
    {PHASES}
    roles:
      writer: {{ users: 8, flow: {flow} }}
      other: {{ users: 1, flow: [connect, {{ signal: go }}, hold] }}
"""
    )


def steps_of(plan: Scenario) -> tuple[Step, ...]:
    return plan.roles["writer"].flow


def messages(plan: Scenario, *points: FlowPoint, end: float = 25.0) -> list[DueMessage]:
    return list(FlowPlan(plan.phases, plan.seed, "writer 1", end, Random(1)).messages(points))


def times(plan: Scenario, *points: FlowPoint, end: float = 25.0) -> list[float]:
    return [round(due.at, 6) for due in messages(plan, *points, end=end)]


def test_a_schedule_goes_on_by_the_seed() -> None:
    plan = of_flow("[connect, { join: a }, { send: { room: a, rate: 2/s } }]")
    profile = send_profile(2.0, plan.phases)
    drawn = list(profile.times(seeded_rng(4, "writer 1", "3.send"), "even"))
    point = FlowPoint(steps_of(plan), index=1, started=4.2)
    assert times(plan, point) == [round(at, 6) for at in drawn if at >= 4.2]
    assert times(plan, point, end=12.0) == [round(at, 6) for at in drawn if 4.2 <= at < 12]
    assert all(due.endless for due in messages(plan, point))


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("[connect, { join: a }, { send: a }, hold]", [1.0]),
        ("[connect, { join: a }, { send: { room: a, count: 3 } }, { think: 2s }, { send: a }]", [1, 1, 1, 3]),
        ("[connect, { join: a }, { wait: { phase: peak } }, { send: a }]", [10]),
        ("[connect, { join: a }, { wait: { signal: go } }, { send: a }]", []),
        ("[connect, { join: a }, { wait: { barrier: x, users: 2 } }, { send: a }]", []),
        ("[connect, { join: a }, { expect: { type: x } }, { send: a }]", [1]),
        ("[connect, { join: a }, { expect: { type: x, not: true, within: 2s } }, { send: a }]", [3]),
        ("[connect, { join: a }, { loop: { times: 3, steps: [{ send: a }, { think: 4s }] } }]", [1, 5, 9]),
        ("[connect, { join: a }, { loop: { for: 5s, steps: [{ send: a }, { think: 4s }] } }]", [1, 5]),
        ("[connect, { join: a }, { loop: [{ send: a }, { think: 6s }] }]", [1, 7, 13, 19]),
        ("[connect, { join: a }, { loop: [{ send: a }] }]", [1]),  # its pace is the server's
        ("[connect, { join: a }, { hold: 18s }, { send: a }, { think: 2s }, { send: a }]", [19]),
        ("[connect, { join: a }, { typing: { room: a, rate: 1/s, for: 2s } }, { send: a }]", [3]),
        (
            "[connect, { join: a }, { choose: [{ steps: [{ send: a }] }, { steps: [{ send: a }] }] }]",
            [1],
        ),
        ("[connect, { join: a }, hold]", []),
    ],
)
def test_what_follows_is_due_when_the_flow_would_come_to_it(flow: str, expected: list[float]) -> None:
    plan = of_flow(flow)
    assert times(plan, FlowPoint(steps_of(plan), index=1, started=1.0)) == expected


def test_a_delay_before_a_resume_is_drawn() -> None:
    plan = of_flow("[connect, { join: a }, { kill: rst }, { backoff: 2s }, resume, { send: a }]")
    assert times(plan, FlowPoint(steps_of(plan), index=1, started=1.0)) == [3]


def test_a_place_in_a_loop_goes_on_there() -> None:
    loop_of_three = "{ loop: { times: 3, steps: [{ send: a }, { think: 2s }, { send: a }] } }"
    plan = of_flow(f"[connect, {{ join: a }}, {loop_of_three}, {{ send: a }}]")
    outer = FlowPoint(steps_of(plan), index=2, started=1.0)
    loop = outer.steps[2]
    assert isinstance(loop, Loop)
    inner = FlowPoint(loop.steps, index=1, started=3.0, loop=loop, rounds=2)
    assert times(plan, outer, inner) == [5, 5, 7, 7]  # the end of this round, another one, what follows
    assert not any(due.endless for due in messages(plan, outer, inner))


def test_what_was_due_already_and_what_runs_by_itself_is_not_due_again() -> None:
    plan = of_flow("[connect, { join: a }, { send: { room: a, count: 5 } }, { think: 1s }, { send: a }]")
    assert times(plan, FlowPoint(steps_of(plan), index=2, started=2.0, sent=3)) == [2, 2, 3]
    plan = of_flow("[connect, { join: a }, { send: { room: a, rate: 1/s } }]")
    assert times(plan, FlowPoint(steps_of(plan), index=2, started=2.0, scheduled=True)) == []


def test_limits_of_a_schedule() -> None:
    plan = of_flow("[connect, { join: a }, { send: { room: a, rate: 2/s, count: 3 } }, { send: a }]")
    found = times(plan, FlowPoint(steps_of(plan), index=1, started=1.0))
    assert len(found) == 4
    assert found[3] == found[2] < 3
    plan = of_flow("[connect, { join: a }, { send: { room: a, rate: 2/s, for: 3s } }, { send: a }]")
    found = times(plan, FlowPoint(steps_of(plan), index=1, started=1.0))
    assert len(found) == 7
    assert found[-1] == 4
    assert not any(due.endless for due in messages(plan, FlowPoint(steps_of(plan), index=1, started=1.0)))


def due(plan: Scenario, *times: float, endless: bool = True) -> list[DueMessage]:
    (step,) = [step for step in steps_of(plan) if step.label == "3.send"]
    return [DueMessage(at, step, endless) for at in times]  # type: ignore[arg-type] # it is a Send


def counted(
    planned: list[DueMessage],
    absent: Sequence[tuple[float, float]],
    phases: Sequence[Phase],
    *,
    back: float | None,
) -> list[NotReached]:
    """The count, in two steps."""
    count = MessageCount(absent, phases, back=back)
    if count.add(planned[:2]):
        count.add(planned[2:])
    return count.found


def test_the_times_in_which_messages_are_due() -> None:
    phases = of_flow("[connect, { join: a }, { send: a }]").phases
    absent = [(1.0, 3.0), (8.0, 24.0)]
    assert publishing_times(absent, phases) == [(1, 3), (8, 10), (10, 20)]
    assert publishing_times(absent, phases, since=9.0) == [(9, 10), (10, 20)]
    assert publishing_times(absent, phases, since=25.0) == []


def test_messages_are_counted_by_phase_while_the_user_is_absent() -> None:
    plan = of_flow("[connect, { join: a }, { send: { room: a, rate: 2/s } }]")
    planned = due(plan, 1, 2, 3, 9, 11, 12)
    (step, *_) = [it.step for it in planned]
    assert counted(planned, [(1.5, 9.5), (11.5, 20)], plan.phases, back=None) == [
        NotReached(step, "calm", 3, 2, 9),
        NotReached(step, "peak", 1, 12, 12),
    ]
    assert counted(planned, [(1.5, 20)], plan.phases, back=9.0) == [NotReached(step, "calm", 2, 2, 3)]
    assert counted(planned, [], plan.phases, back=None) == []


def test_who_is_back_sends_later_what_does_not_depend_on_the_time() -> None:
    plan = of_flow("[connect, { join: a }, { send: a }, hold]")
    assert counted(due(plan, 1, 2, endless=False), [(0, 20)], plan.phases, back=9.0) == []
    (found,) = counted(due(plan, 1, 2, endless=False), [(0, 20)], plan.phases, back=None)
    assert found.amount == 2
    (found,) = counted(due(plan, 1, 4, 7), [(0, 20)], plan.phases, back=9.0)  # it goes on with the first
    assert (found.amount, found.first) == (2, 4)


def test_a_copy_is_not_changed() -> None:
    point = FlowPoint((), index=1)
    (copy,) = copy_of([point])
    point.index = 2
    assert copy.index == 1
