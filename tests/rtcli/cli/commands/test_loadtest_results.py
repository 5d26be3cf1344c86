"""Results of `rtcli loadtest` survive full disks, readers that go away, signals, and other runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rtcli.load.reporters.outputs import OUTPUTS
from rtcli.load.results.summary import encode
from rtcli.load.scenario.loader import load_scenario
from tests.support.load.sample_results import passing
from tests.support.processes.rtcli import RTCLI, rtcli, start
from tests.support.servers.live_server import SECRET, live_server

QUICK = """
name: quick
phases:
  - { name: gather, for: 400ms, publish: stop }
  - { name: run, for: 600ms }
  - { name: drain, for: 200ms, publish: stop }
roles:
  reader: { users: 3, flow: [connect, { join: lobby }, hold] }
  writer: { users: 1, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 10/s } }] }
"""
# Runs a command where there is a full disk at a path. Everything is gone when the command ends.
ON_A_FULL_DISK = """
  mount -t tmpfs -o size=64k tmpfs "$0"
  cat /dev/zero > "$0/ballast" 2> /dev/null
  exec "$@"
"""


@pytest.fixture
def quick(tmp_path: Path) -> str:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return str(path)


def test_a_full_disk_changes_neither_verdict_nor_exit_code(tmp_path: Path, quick: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    result = rtcli(
        "loadtest", quick, "--serve", "--no-progress", "--out", str(disk),
        "--threshold", "ws_sessions: count > 1000",
        home=tmp_path,
        command=("unshare", "--mount", *user, "sh", "-c", ON_A_FULL_DISK, str(disk), RTCLI),
    )  # fmt: skip
    assert result.returncode == 99, result.stderr
    assert "ws_sessions" in result.stdout.decode()
    lines = result.stderr.decode().splitlines()
    assert f"warning: not written: {disk}/summary.json: no space left on device" in lines
    assert "bug" not in result.stderr.decode()


@pytest.mark.parametrize(
    ("stdout", "why"),
    [
        (">&-", "nobody reads it"),
        ("> /dev/full", "no space left on device"),
        ("| true", "nobody reads it"),
    ],
)
def test_a_stdout_that_takes_nothing_changes_nothing_either(
    tmp_path: Path, quick: str, stdout: str, why: str
) -> None:
    script = f'set -o pipefail; "$0" "$@" {stdout}'
    result = rtcli(
        "loadtest", quick, "--serve", "--no-progress", "--out", "results",
        "--threshold", "ws_sessions: count > 1000",
        home=tmp_path,
        command=("bash", "-c", script, RTCLI),
    )  # fmt: skip
    assert result.returncode == 99
    warnings = [line for line in result.stderr.decode().splitlines() if line.startswith("warning: stdout: ")]
    assert len(warnings) == 1, result.stderr
    assert why in warnings[0]
    assert "bug" not in result.stderr.decode()
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["verdict"], summary["exit_code"]) == ("threshold", 99)


def running(*arguments: str, home: Path, own_group: bool = False) -> subprocess.Popen[bytes]:
    """A load test whose users have begun."""
    long = ("--set", "phases.run.for=60s")
    process = start("loadtest", *arguments, *long, home=home, own_group=own_group)
    deadline, seen = time.monotonic() + 30, b""
    assert process.stderr is not None
    while b"users" not in seen:
        assert time.monotonic() < deadline, seen
        seen += process.stderr.readline()
    return process


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")],
)
def test_the_summary_tells_which_signal_ended_the_run(
    tmp_path: Path, quick: str, number: int, name: str
) -> None:
    baseline = replace(passing(), digest=load_scenario(quick, overrides=["phases.run.for=60s"]).digest)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "summary.json").write_bytes(encode(baseline))
    process = running(quick, "--serve", "--out", "results", "--baseline", "base", home=tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["verdict"], summary["interrupted_by"]) == ("interrupted", name)
    assert summary["exit_code"] == 128 + number
    assert summary["reasons"][0] == f"the run was interrupted by {name} before its end"
    assert summary["audit"]["counts"]["lost"] == 0
    assert summary["duration"] < 30
    assert out.decode().startswith("INTERRUPTED")
    assert f"interrupted by {name}" in out.decode()
    assert b"Traceback" not in err
    assert not any("worse" in reason for reason in summary["reasons"])
    assert any(note.startswith("not compared with the baseline: ") for note in summary["notes"])
    shown = rtcli("report", "show", "results", home=tmp_path)
    assert shown.returncode == 128 + number


def secret(directory: Path) -> tuple[str, str]:
    """The options that name a file with the server's secret."""
    path = directory / "secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    return "--secret-file", str(path)


def workers_of(process: subprocess.Popen[bytes], count: int) -> list[psutil.Process]:
    """The worker processes of a load test, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        children = psutil.Process(process.pid).children()
        found = [child for child in children if "worker_process" in " ".join(child.cmdline())]
        if len(found) == count:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_processes_ends_the_run_in_order(tmp_path: Path, quick: str, number: int) -> None:
    with live_server() as server:
        arguments = ("--url", server.url, *secret(tmp_path), "--workers", "2", "--out", "results")
        process = running(quick, *arguments, home=tmp_path, own_group=True)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, err
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["verdict"], len(summary["reasons"])) == ("interrupted", 1)
    assert summary["accounts"]["users"]["present"] == 4


def test_a_signal_to_all_processes_before_they_are_ready_is_no_bug(tmp_path: Path, quick: str) -> None:
    with live_server() as server:
        arguments = ("loadtest", quick, "--url", server.url, *secret(tmp_path), "--workers", "2")
        process = start(*arguments, home=tmp_path, own_group=True)
        workers_of(process, 2)
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert b"report" not in err
    assert b"Traceback" not in err


def test_no_worker_outlives_its_run(tmp_path: Path, quick: str) -> None:
    with live_server() as server:
        arguments = ("--url", server.url, *secret(tmp_path), "--workers", "2")
        process = running(quick, *arguments, home=tmp_path)
        workers = workers_of(process, 2)
        process.kill()
        process.communicate(timeout=30)
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_a_second_run_into_the_same_directory_is_refused(tmp_path: Path, quick: str) -> None:
    first = running(quick, "--serve", "--out", "results", home=tmp_path)
    second = rtcli("loadtest", quick, "--serve", "--out", "results", home=tmp_path)
    assert second.returncode == 2
    error, hint = second.stderr.decode().splitlines()
    assert error == f"error: results: another run writes its results there (process {first.pid})"
    assert hint.startswith("hint: give each run a directory of its own")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    assert {path.name for path in (tmp_path / "results").iterdir()} == set(OUTPUTS)


def test_a_run_that_does_not_begin_leaves_no_earlier_result(tmp_path: Path, quick: str) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for name in OUTPUTS:
        (results / name).write_text("of an earlier run")
    result = rtcli("loadtest", quick, "--url", "http://127.0.0.1:9", "--out", "results", home=tmp_path)
    assert result.returncode == 3
    assert list(results.iterdir()) == []


def test_two_runs_of_a_bundled_scenario_on_one_server(tmp_path: Path) -> None:
    with live_server() as server:
        command = (
            "loadtest", "smoke", "--url", server.url, *secret(tmp_path), "--json", "--no-progress",
            "--set", "phases.steady.for=1s",
        )  # fmt: skip
        runs = [start(*command, home=tmp_path) for _ in range(2)]
        summaries = [json.loads(run.communicate(timeout=60)[0]) for run in runs]
    assert [(it["verdict"], it["reasons"]) for it in summaries] == [("passed", [])] * 2
    assert all(it["audit"]["counts"]["phantom"] == 0 for it in summaries)
    assert summaries[0]["started"] < summaries[1]["started"] + summaries[1]["duration"]
    assert summaries[1]["started"] < summaries[0]["started"] + summaries[0]["duration"]
