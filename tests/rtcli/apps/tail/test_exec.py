from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from rtcli.apps.tail.exec import Executor
from rtcli.errors import CliError, Exit
from tests.support.waiting import until


async def test_a_command_gets_the_data_and_never_as_its_argument(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f'cat > {out}; echo "$RTCLI_EVENT_TYPE|$RTCLI_EVENT_ROOM" >> {out}'
    executor = Executor(f"sh -c '{script}'", {"PATH": os.environ["PATH"]})
    data = "$(touch pwned) `id` \n; '\" ä"
    assert await executor.run(data, {"TYPE": "a;b", "ROOM": "\0x\ud800"}) == 0
    assert out.read_text() == f"{data}a;b|x?\n"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("false", 1), ("sh -c 'kill -9 $$'", -9)])
async def test_how_it_ended_is_told_also_when_it_did_not_read(command: str, status: int) -> None:
    assert await Executor(command, os.environ).run("x" * 1_000_000, {}) == status


@pytest.mark.parametrize("command", ["", "  ", "'unbalanced"])
def test_a_command_that_cannot_be_read(command: str) -> None:
    with pytest.raises(CliError) as caught:
        Executor(command, {})
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("command", ["/does/not/exist", "/"])
async def test_a_command_that_cannot_be_started(command: str) -> None:
    with pytest.raises(CliError) as caught:
        await Executor(command, os.environ).run("", {})
    assert caught.value.exit_code == Exit.EXEC


def alive_in(group: int) -> list[int]:
    """The processes of a group that still run: those that were killed may take a moment to go."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):  # gone in between
            continue
    return found


async def test_when_we_end_the_command_ends(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    executor = Executor(
        f"sh -c 'trap \"\" TERM; echo $$ > {pid_file}; sleep 60 & wait; sleep 60'", os.environ
    )
    task = asyncio.ensure_future(executor.run("", {}))
    async with asyncio.timeout(15):
        while not (pid_file.exists() and pid_file.read_text().strip()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    group = int(pid_file.read_text())
    await until(lambda: not alive_in(group), "the command and what it started have ended")
