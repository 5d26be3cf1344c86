"""Users whom the load generator was too late to start are accounted for, and not held against the server."""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import count

import pytest
from typing_extensions import override

from rtcli.load.core.due_users import DueUser, DueUsers
from rtcli.load.run.coordinator import ProgressView, RunState
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import run
from tests.support.load.workers import worker_processes
from tests.support.tcp_proxy import Link, TcpProxy, Treatment, seen

LATE = """
    name: late
    phases:
      - { name: ramp, for: 2s, users: 0 -> 100% }
      - { name: run, for: 500ms }
    roles:
      writer: { users: 1, flow: [connect, { join: table }, { send: { room: table, rate: 20/s } }] }
      reader: { users: 20, flow: [connect, { join: table }, hold] }
      guest: { arrivals: 20/s, flow: [connect, { join: table }, { hold: 100ms }] }
      talker: { users: 10, flow: [connect, { join: table }, { send: { room: table, rate: 10/s } }] }
"""
SENDS = 20 * 1.5 + 10 * 10 * 1.5  # of the writer, who comes after a second, and of ten talkers


def test_who_started_is_not_due_any_more() -> None:
    due = DueUsers()
    for index, start in enumerate((0.0, 3.0, 8.5, 9.5)):
        due.expect("reader", index, start, 10.0)
    due.expect_arrivals("guest", iter([(4, 2.0, 5.0), (5, 8.0, 9.0), (6, 9.2, 10.0), (7, 9.4, 10.0)]))
    due.started("reader", 0)
    found = list(due.never_started(10.0))
    readers = [DueUser("reader", 1, 3.0, 10.0), DueUser("reader", 2, 8.5, 10.0)]
    assert found == [*readers, DueUser("guest", 4, 2.0, 5.0), DueUser("guest", 5, 8.0, 9.0)]
    assert found[0].name == "reader 2"


class StopsTheWorker(ProgressView):
    """Stops the worker for some seconds, early in the ramp."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_done = not seconds

    @override
    def show(self, state: RunState) -> None:
        if not self._is_done and state.base and state.now() > 0.1:
            self._is_done = True
            (pid,) = worker_processes()
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(self._seconds, os.kill, pid, signal.SIGCONT)


@pytest.mark.parametrize("stop_s", [0.0, 4.0])
async def test_users_who_never_started_make_a_run_inconclusive(stop_s: float) -> None:
    async with faulty_server(Faults({})) as server:
        result = await run(LATE, server.url, view=StopsTheWorker(stop_s))
    assert result.accounts is not None
    users = result.accounts.users
    planned = {role.role: role.planned for role in users.roles}
    assert planned["reader"] == 20
    late = [item for item in users.shortfalls if item.code == "generator_late"]
    sends = result.accounts.sends
    assert sends.due == pytest.approx(SENDS, abs=15)  # whether or not they were sent
    if not stop_s:
        assert late == []
        assert result.exit_code == 0
        return
    assert {item.role for item in late} >= {"reader", "guest"}
    assert users.planned - users.present == sum(item.count for item in users.shortfalls)
    assert {item.code for item in users.shortfalls} <= {"generator_late", "generator_stalled"}
    assert result.exit_code == 96
    assert any("too late to start them" in reason for reason in result.reasons)
    assert "talker" in {item.role for item in sends.shortfalls}
    assert all(item.by_generator for item in sends.shortfalls)


CAUGHT = """
    name: caught
    phases: [{ name: run, for: 2s }, { name: drain, for: 300ms, publish: stop }]
    roles:
      talker:
        users: 4
        flow: [connect, { join: table }, PAUSE, { send: { room: table, rate: 20/s } }]
"""


@pytest.mark.parametrize(
    ("at", "times", "pause_s", "behind"),
    [
        (b"101 Switching", 1, 0.2, ""),
        (b"connection_id", 1, 0.2, ""),
        (b"room_joined", 1, 0.2, ""),
        (b"room_joined", 4, 0.8, ""),  # all are in their pause
        (b"room_joined", 4, 0.8, ", { join: other }"),
        (b"new_message", 1, 0.2, ""),
    ],
)
async def test_whoever_is_caught_by_a_stall_owes_what_it_should_have_sent(
    at: bytes, times: int, pause_s: float, behind: str
) -> None:
    """Wherever its flow is then: in its handshake, before its room, before or within its schedule."""
    seen_times = count(1)

    def stop_the_worker(data: bytes) -> None:
        if at in data and next(seen_times) == times:
            (pid,) = worker_processes()
            asyncio.get_running_loop().call_later(0.1 if times > 1 else 0.0, os.kill, pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(3.5, os.kill, pid, signal.SIGCONT)

    def watched(_link: Link) -> Treatment:
        return Treatment(down=[seen(stop_the_worker)])

    async with faulty_server(Faults({})) as server:
        port = int(server.url.rpartition(":")[2])
        async with TcpProxy(port, watched).running() as proxy:
            text = CAUGHT.replace("PAUSE", f"{{ think: {pause_s}s }}{behind}")
            result = await run(text, f"http://127.0.0.1:{proxy.port}")
    assert next(seen_times) > times
    assert result.accounts is not None
    planned, late_s = 4 * 20 * (2 - pause_s), 0.5  # at most
    assert result.accounts.sends.due == pytest.approx(planned, abs=4 * 20 * late_s)
    short = [*result.accounts.sends.shortfalls, *result.accounts.users.shortfalls]
    assert all(item.by_generator for item in short)
    assert result.exit_code == (96 if short else 0)  # perhaps there was time to send everything, late


TARDY = """
    name: tardy
    phases:
      - { name: ramp, for: 2s, users: 0 -> 100% }
      - { name: run, for: 2s }
      - { name: drain, for: 300ms, publish: stop }
    roles:
      talker: { users: 10, flow: [connect, { join: table }, { send: { room: table, rate: 10/s } }] }
      looper: { users: 4, flow: [connect, { join: table }, { loop: [{ send: table }, { think: 200ms }] }] }
"""


async def test_who_is_started_late_sends_late_what_has_a_schedule_and_owes_the_rest() -> None:
    async with faulty_server(Faults({})) as server:
        result = await run(TARDY, server.url, view=StopsTheWorker(2.5))
    assert result.accounts is not None
    users, sends = result.accounts.users, result.accounts.sends
    assert (users.present, users.planned, users.interrupted) == (14, 14, 0)
    assert {item.kind for item in users.shortfalls} == {"interrupted"}
    assert all(item.by_generator and item.user_seconds >= item.count for item in users.shortfalls)
    assert sends.due == pytest.approx(10 * 10 * 3.0 + 4 * 5 * 3.0, rel=0.2)  # 180 without what was late
    unsent = {item.role: item for item in sends.shortfalls}
    assert set(unsent) == {"looper"}
    assert unsent["looper"].code == "generator_late"
    lag = result.metrics["schedule_lag"]
    assert (lag.max or 0) > 1.0
    assert result.exit_code == 96
    assert any("lacked the means" in reason for reason in result.reasons)
