"""Users whom the load generator was too late to start are accounted for, and not held against the server."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from rtcli.load.core.due_users import DueUser, DueUsers
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import run
from tests.support.load.workers import background, worker_processes
from tests.support.waiting import until

LATE = """
    name: late
    phases:
      - { name: ramp, for: 1s, users: 0 -> 100% }
      - { name: run, for: 1500ms }
    roles:
      writer: { users: 1, flow: [connect, { join: table }, { send: { room: table, rate: 20/s } }] }
      reader: { users: 20, flow: [connect, { join: table }, hold] }
      guest: { arrivals: 20/s, flow: [connect, { join: table }, { hold: 100ms }] }
"""


def test_who_started_is_not_due_any_more() -> None:
    due = DueUsers()
    for index, start in enumerate((0.0, 3.0, 8.5, 9.5)):
        due.expect("reader", index, start)
    due.expect_arrivals("guest", iter([(4, 2.0), (5, 8.0), (6, 9.2), (7, 9.4)]))
    due.started("reader", 0)
    found = list(due.never_started(10.0))
    readers = [DueUser("reader", 1, 3.0), DueUser("reader", 2, 8.5)]
    assert found == [*readers, DueUser("guest", 4, 2.0), DueUser("guest", 5, 8.0)]
    assert found[0].name == "reader 2"


async def stop_for(seconds: float) -> None:
    """Stop the worker for once, in the middle of the ramp."""
    await until(lambda: bool(worker_processes()))
    await asyncio.sleep(1.0)
    (pid,) = worker_processes()
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("stop_s", [0.0, 4.0])
async def test_users_who_never_started_make_a_run_inconclusive(stop_s: float) -> None:
    async with faulty_server(Faults({})) as server, background(stop_for(stop_s)):
        result = await run(LATE, server.url)
    assert result.accounts is not None
    users = result.accounts.users
    planned = {role.role: role.planned for role in users.roles}
    assert planned["reader"] == 20
    late = [item for item in users.shortfalls if item.code == "generator_late"]
    if not stop_s:
        assert late == []
        assert result.exit_code == 0
        return
    assert {item.role for item in late} >= {"reader", "guest"}
    assert users.planned - users.present == sum(item.count for item in late)
    assert result.exit_code == 96
    assert any("too late to start them" in reason for reason in result.reasons)
