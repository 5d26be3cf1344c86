"""The worker processes as the coordinator sees them: a message that cannot be read is a bug, told at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtcli.errors import Exit
from rtcli.load.run.channel import WorkerChannel
from rtcli.load.run.messages import FromWorker, Ready, ToWorker
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import run
from tests.support.paths import ROOT

LONG = """
    name: long
    phases: [{ name: run, for: 1m }]
    roles: { reader: { users: 4, flow: [connect, { join: hall }, hold] } }
"""


async def test_a_message_that_cannot_be_read_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the second worker sends after it is ready has an unknown tag."""
    receive = WorkerChannel.receive
    seen: set[int] = set()

    async def damaged(self: WorkerChannel[ToWorker, FromWorker]) -> FromWorker:
        message = await receive(self)
        if not isinstance(message, Ready):
            seen.add(id(self))
            if len(seen) == 2 and id(self) == max(seen, key=[*seen].index):
                return self._decode(b"\x81\xa4type\xa7Unknown")
        return message

    monkeypatch.setattr(WorkerChannel, "receive", damaged)
    async with faulty_server() as server:
        result = await run(LONG, server.url, workers=2)
    assert result.exit_code is Exit.BUG
    assert result.duration < 30
    assert "cannot be read" in " ".join(result.reasons)


MAKE_A_WORKER = """
import asyncio, sys, time
import rtcli.load.run.worker_process
from rtcli.load.run.worker import Worker
from tests.support.load.contexts import SCENARIO, worker_spec

async def make():
    spec, before = worker_spec(SCENARIO), set(sys.modules)
    Worker(spec, time.monotonic_ns() // 1000, print)
    print(*{name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))

asyncio.run(make())
"""


def test_a_worker_imports_everything_before_the_run_begins() -> None:
    """It is made once the start of the run is known: what takes long then makes its first users late."""
    made = subprocess.run(
        [sys.executable, "-c", MAKE_A_WORKER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert made.stdout.split() == []
