"""The users of a worker that is lost: those of its share who had begun, by the generator's fault."""

from __future__ import annotations

import pytest

from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.lost_workers import attendance_of_lost
from rtcli.load.scenario.model import Scenario
from tests.support.load.runs import scenario


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
    found = attendance_of_lost(world(), OwnFailure("gone", worker=worker), workers, end)
    return {name: count.planned for name, count in found.roles.items()}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("end", [0.0, 3.0, 10.0, 20.0])
def test_each_user_who_has_begun_is_of_one_worker(workers: int, end: float) -> None:
    whole = planned(0, 1, end)
    parts = [planned(worker, workers, end) for worker in range(workers)]
    assert {name: sum(part.get(name, 0) for part in parts) for name in whole} == whole
    assert whole.get("reader", 0) == pytest.approx(end, abs=1) if end < 10 else whole["reader"] == 10


def test_nobody_else_is_blamed_for_them() -> None:
    killed = attendance_of_lost(world(), OwnFailure("worker 2 was killed", is_bug=False, worker=1), 2, 20.0)
    crashed = attendance_of_lost(world(), OwnFailure("worker 2 ended", worker=1), 2, 20.0)
    assert {group.key.code for group in killed.groups} == {"generator_killed"}
    assert {group.key.code for group in crashed.groups} == {"generator_bug"}
    assert all(group.key.own for group in killed.groups)
    (readers,) = [group for group in killed.groups if group.key.role == "reader"]
    assert readers.who == ["reader 2", "reader 4", "reader 6", "reader 8", "reader 10"]
