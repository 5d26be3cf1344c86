"""The users of a worker that is lost: those of its share who had begun, by the generator's fault."""

from __future__ import annotations

from collections import Counter

import pytest

from rtcli.load.accounts.sends_account import RunSends
from rtcli.load.accounts.users_account import RunAttendance
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.lost_workers import attendance_of_lost, sends_of_lost
from rtcli.load.results.accounts import SendsAccount
from rtcli.load.results.wording import role_time
from rtcli.load.scenario.model import Scenario
from tests.support.load.runs import scenario

BASE = 6_898_692_264  # µs of the monotonic clock


def world() -> Scenario:
    return scenario(
        """
        name: lost
        phases: [{ name: ramp, for: 10s, users: 0 -> 100% }, { name: run, for: 10s }]
        roles:
          reader: { users: 10, flow: [connect, { join: lobby }, hold] }
          visitor: { arrivals: 2/s, spread: even, stay: 1s, flow: [connect, { join: lobby }, hold] }
        """
    )


def planned(worker: int, workers: int, end: float) -> dict[str, int]:
    found = attendance_of_lost(world(), OwnFailure("gone", worker=worker), workers, end, BASE)
    return {name: count.planned for name, count in found.roles.items()}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("end", [0.0, 3.0, 10.0, 20.0])
def test_each_user_who_has_begun_is_of_one_worker(workers: int, end: float) -> None:
    whole = planned(0, 1, end)
    parts = [planned(worker, workers, end) for worker in range(workers)]
    assert {name: sum(part.get(name, 0) for part in parts) for name in whole} == whole
    assert whole.get("reader", 0) == pytest.approx(end, abs=1) if end < 10 else whole["reader"] == 10


def test_nobody_else_is_blamed_for_them() -> None:
    killed = attendance_of_lost(
        world(), OwnFailure("worker 2 was killed", is_bug=False, worker=1), 2, 20.0, BASE
    )
    crashed = attendance_of_lost(world(), OwnFailure("worker 2 ended", worker=1), 2, 20.0, BASE)
    assert {group.key.code for group in killed.groups} == {"generator_killed"}
    assert {group.key.code for group in crashed.groups} == {"generator_bug"}
    assert all(group.key.own for group in killed.groups)
    (readers,) = [group for group in killed.groups if group.key.role == "reader"]
    assert readers.who == ["reader 2", "reader 4", "reader 6", "reader 8", "reader 10"]


def test_they_are_planned_and_absent_from_when_they_began() -> None:
    (lost,) = [attendance_of_lost(world(), OwnFailure("gone", worker=0), 1, 15.0, BASE)]
    readers = lost.roles["reader"]
    assert readers.planned_us == [50_000_000, 50_000_000]  # one begins each second, from 0.5 s
    assert readers.present_us == [0, 0]
    visitors = lost.roles["visitor"]
    assert sum(visitors.planned_us) == pytest.approx(visitors.planned * 1e6, rel=0.05)  # a second each
    account = RunAttendance(world(), [lost], BASE).users()
    assert all(0 <= (item.first or 0) < (item.last or 0) <= 15 for item in account.shortfalls)
    reader = next(item for item in account.shortfalls if item.role == "reader")
    assert (reader.first, reader.last, reader.user_seconds) == (0.5, 15.0, 100.0)
    assert account.present == 0
    assert role_time(account.roles[0]) == "no time of it can be judged"


TALK = """
    name: lost
    phases:
      - { name: calm, for: 10s, users: 0 -> 100% }
      - { name: peak, for: 10s, rates: x2 }
      - { name: drain, for: 5s, publish: stop }
    roles:
      reader: { users: 3, flow: [connect, { join: lobby }, hold] }
      writer:
        users: 4
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 10/s } }]
      talker:
        arrivals: 2/s
        spread: even
        stay: 5s
        flow: [connect, { join: lobby }, { loop: [{ send: lobby }, { think: 1s }] }]
"""


def sends_until(end: float, worker: int, workers: int, accepted: dict[str, dict[str, int]]) -> SendsAccount:
    failure = OwnFailure("worker 2 was killed", is_bug=False, worker=worker)
    world = scenario(TALK)
    found = sends_of_lost(world, failure, workers, end, BASE, accepted=accepted)
    return RunSends(world, [found], BASE).account()


@pytest.mark.parametrize("workers", [1, 3])
def test_what_they_should_have_sent_until_then_is_due(workers: int) -> None:
    parts = [sends_until(15.0, worker, workers, {}) for worker in range(workers)]
    by_role: Counter[str] = Counter()
    for item in (item for part in parts for item in part.shortfalls):
        by_role[item.role] += item.count
        assert (item.code, item.own, item.cause) == ("generator_killed", True, "worker 2 was killed")
    # Four writers come between 1.25 and 8.75 s; until then, 20 talkers, each with five messages at most.
    assert by_role["writer"] == pytest.approx(4 * (5 * 10 + 5 * 20), abs=8)
    assert 60 < by_role["talker"] <= 100


def test_what_it_has_told_of_is_accepted() -> None:
    whole = sends_until(25.0, 0, 1, {})
    told = sends_until(25.0, 0, 1, {"writer": {"calm": 150, "peak": 10_000}})
    assert told.accepted == 10_150
    left = {(item.role, item.phase): item.count for item in told.shortfalls}
    before = {(item.role, item.phase): item.count for item in whole.shortfalls}
    assert left["writer", "calm"] == before["writer", "calm"] - 150
    assert ("writer", "peak") not in left
    assert left["talker", "calm"] == before["talker", "calm"]
    assert {phase for _, phase in before} == {"calm", "peak"}
