"""The capacity of a machine: which runs fit, and why others do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.run.capacity import LOOPBACK_SOURCES, MachineLimits, find_obstacles, read_machine_limits
from rtcli.load.run.estimate import estimate
from rtcli.load.scenario.loader import bundled_names, load_scenario


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


def test_the_limits_of_this_machine_can_be_read() -> None:
    limits = read_machine_limits()
    assert limits.cores >= 1
    assert limits.descriptors is None or limits.descriptors > 0
    assert limits.memory is None or limits.memory > 0
