"""The capacity of a machine: which runs fit, and why others do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.run.capacity import LOOPBACK_SOURCES, MachineLimits, find_obstacles, read_machine_limits
from rtcli.load.run.estimate import estimate
from rtcli.load.scenario.loader import bundled_names, load_scenario, parse_scenario


@pytest.mark.parametrize("name", bundled_names())
def test_every_bundled_scenario_fits_a_small_machine(name: str) -> None:
    need = estimate(load_scenario(name))
    small = MachineLimits(descriptors=1024, ports=28_000, memory=512 * 2**20, cores=1)
    assert find_obstacles(need, small, loopback=False) == []


def test_what_cannot_work_is_named_with_the_way_out() -> None:
    need = replace(estimate(load_scenario("smoke")), connections=50_000, descriptors=50_064, memory=2**40)
    tight = MachineLimits(descriptors=20_000, ports=28_000, memory=2**33, cores=2)
    found = find_obstacles(need, tight, loopback=False)
    assert [sentence.split(":")[1].split()[0] for sentence in found] == ["raise", "widen", "take"]
    assert len(find_obstacles(need, tight, loopback=False, workers=3)) == 2
    assert len(find_obstacles(need, tight, loopback=True, workers=3)) == 1
    assert LOOPBACK_SOURCES > 1
    assert find_obstacles(need, MachineLimits(None, None, None, 1), loopback=False) == []


PLAN = """
name: x
phases: [{ name: run, for: FOR }]
roles:
  r: { users: USERS, flow: [connect, { join: a }, hold] }
  w: { users: 1, flow: [connect, { join: a }, { send: { room: a, rate: RATE } }] }
"""


@pytest.mark.parametrize(
    ("duration", "users", "rate", "expected"),
    [
        ("10s", "5", "1000000/s", ""),
        ("10s", "5", "1000001/s", "10 000 010 messages are planned, 1 000 001 a second, and a worker cannot"),
        ("10s", "500", "100000/s", "501 000 000 deliveries are planned"),
        ("12d", "5", "1/s", ""),
        ("13d", "5", "1/s", "a run of 312 h is planned, and it can take 305 h 25 min at most"),
    ],
)
def test_a_plan_that_no_machine_can_run(duration: str, users: str, rate: str, expected: str) -> None:
    text = PLAN.replace("FOR", duration).replace("USERS", users).replace("RATE", rate)
    found = find_obstacles(estimate(parse_scenario(text)), MachineLimits(None, None, None, 1), loopback=True)
    assert [sentence[: len(expected)] for sentence in found] == ([expected] if expected else [])


def test_the_limits_of_this_machine_can_be_read() -> None:
    limits = read_machine_limits()
    assert limits.cores >= 1
    assert limits.descriptors is None or limits.descriptors > 0
    assert limits.memory is None or limits.memory > 0
