"""Signals need a process of their own; each test runs a few lines in one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes.rtcli import environment

PROGRAM = """
import asyncio, sys
from rtcli.cli import signals
from rtcli.terminal.console import console

async def main():
    console.write_line("ready")
    try:
        await asyncio.sleep(60)
    finally:
        console.info("saved")
        {cleanup}
    return 0

signals.install()
sys.exit(signals.run(main()))
"""


def run(tmp_path: Path, cleanup: str = "pass", *, ignore: str = "") -> subprocess.Popen[bytes]:
    program = PROGRAM.format(cleanup=cleanup)
    process = subprocess.Popen(
        ["bash", "-c", f"trap '' {ignore or 'USR1'}; exec \"$@\"", "-", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", "flushed, although stdout is a pipe"
    return process


@pytest.mark.parametrize("ignore", ["", "INT TERM"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cleans_up_and_is_told(tmp_path: Path, ignore: str, number: int, code: int) -> None:
    process = run(tmp_path, ignore=ignore)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (code, b"saved\n")


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    process = run(tmp_path, cleanup="await asyncio.sleep(60)")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == b"saved\n"
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert process.wait(1) == 130
    process.communicate()


def test_hangup(tmp_path: Path) -> None:
    process = run(tmp_path)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == 129


def test_hangup_is_ignored_when_the_person_said_so(tmp_path: Path) -> None:
    process = run(tmp_path, ignore="HUP")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143


def test_a_reader_that_goes_away_ends_a_quiet_command(tmp_path: Path) -> None:
    process = run(tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b"saved\n"
    process.stderr.close()


def test_a_closed_stdout_while_writing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code = (
        "import sys; from rtcli.cli import signals; from rtcli.terminal.console import console\n"
        "async def main():\n    console.write_line('x'); return 0\n"
        "sys.exit(signals.run(main()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        check=False,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")
