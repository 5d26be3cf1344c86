"""The users of a worker that is lost: those of its share who had begun, by the generator's fault."""

from __future__ import annotations

import pytest

from rtcli.load.accounts.users_account import RunAttendance
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.lost_workers import attendance_of_lost
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
