"""Reading what the hypervisor and quotas take away, from the texts of real kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtcli.load.run.health.processor_time import (
    ProcessorTime,
    cpu_stat_files,
    stolen_ticks,
    throttled_seconds,
)

STAT = """\
cpu  549397 883 76208 159326 1059 0 3303 149 0 0
cpu0 267291 377 36961 88455 393 0 1524 74 0 0
cpu1 282106 506 39247 70871 666 0 1779 75 0 0
intr 13318232 0 9 0
ctxt 31230523
"""
OLD_STAT = "cpu  549397 883 76208 159326\n"  # before Linux 2.6.11
VERSION_2 = """\
usage_usec 123456789
user_usec 100000000
system_usec 23456789
nr_periods 812
nr_throttled 40
throttled_usec 2500000
nr_bursts 0
burst_usec 0
"""
VERSION_2_ROOT = "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\n"
VERSION_1 = "nr_periods 812\nnr_throttled 40\nthrottled_time 2500000000\n"


def test_stolen_time() -> None:
    assert stolen_ticks(STAT) == 149
    assert stolen_ticks(OLD_STAT) == 0
    assert stolen_ticks("") == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(VERSION_2, 2.5), (VERSION_1, 2.5), (VERSION_2_ROOT, 0.0), ("", 0.0), ("throttled_usec x", 0.0)],
)
def test_throttled_time(text: str, seconds: float) -> None:
    assert throttled_seconds(text) == seconds


def group(path: Path, text: str) -> Path:
    path.mkdir(parents=True)
    (path / "cpu.stat").write_text(text)
    return path / "cpu.stat"


def test_version_2_has_one_tree(tmp_path: Path) -> None:
    top = group(tmp_path / "jobs", VERSION_2)
    own = group(tmp_path / "jobs" / "job-1", VERSION_2)
    group(tmp_path / "jobs" / "job-2", VERSION_2)
    assert cpu_stat_files("0::/jobs/job-1\n", tmp_path) == [own, top]


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    own = group(tmp_path / "cpu,cpuacct" / "docker" / "abc", VERSION_1)
    (tmp_path / "cpu").symlink_to(tmp_path / "cpu,cpuacct")
    group(tmp_path / "memory" / "docker" / "abc", "")
    cgroups = "11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/\n"
    assert cpu_stat_files(cgroups, tmp_path) == [own]


def test_a_container_sees_its_group_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text(VERSION_2)
    for path in ("/", "/../../outside", "/kubepods/pod-of-the-host"):
        assert cpu_stat_files(f"0::{path}\n", tmp_path) == [tmp_path / "cpu.stat"]


def test_what_was_taken_since_the_last_reading(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/job\n")
    (tmp_path / "stat").write_text(STAT)
    quota = group(tmp_path / "groups" / "job", VERSION_2)
    time = ProcessorTime(tmp_path, tmp_path / "groups")
    assert time.taken() == (0.0, 0.0)
    (tmp_path / "stat").write_text(STAT.replace(" 149 ", " 199 "))
    quota.write_text(VERSION_2.replace("2500000", "2750000"))
    taken = time.taken()
    assert taken.stolen == pytest.approx(0.5)
    assert taken.throttled == pytest.approx(0.25)
    assert time.taken() == (0.0, 0.0)


def test_other_systems_tell_nothing(tmp_path: Path) -> None:
    assert ProcessorTime(tmp_path / "no", tmp_path / "none").taken() == (0.0, 0.0)
