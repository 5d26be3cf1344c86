"""Deployments that do not have everybody who should be there: red, with who, when and why."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcli.errors import Exit
from rtcli.load.results.accounts import Accounts, RoleAttendance
from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.faulty_server.door import OPEN, Door
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.deployments import WhenAllAreThere
from tests.support.load.runs import run
from tests.support.servers.server_process import SECRET, ServerProcess

HALL = """
    name: hall
    phases: [{ name: run, for: 1500ms }, { name: drain, for: 300ms, publish: stop }]
    roles:
      reader: { users: 10, ROLE flow: [connect, { join: { room: lobby, timeout: 400ms } }, TOGETHER, hold] }
      tail:
        {
          users: 5, protocol: sse, ROLE
          flow: [{ connect: { rooms: [lobby], timeout: TIMEOUT } }, TOGETHER, hold]
        }
      writer: { users: 2, flow: [connect, { join: lobby }, TOGETHER, { send: { room: lobby, rate: 40/s } }] }
    audit: { settle: 1s }
"""
ALL = {"reader": 10, "tail": 5, "writer": 2}


def hall(*, there: int = 17, role: str = "", within: str = "10s") -> str:
    """Nothing is sent before so many users are there."""
    together = f"{{ wait: {{ barrier: together, users: {there} }} }}"
    return HALL.replace("TOGETHER", together).replace("ROLE", role).replace("TIMEOUT", within)


def some(share: dict[str, int]) -> Callable[[str], bool]:
    """Whether a user is one of the first so many of its role."""

    def concerns(user_id: str) -> bool:
        role, _, number = user_id.rpartition("-")
        return int(number) <= share.get(role, 0) if role else False

    return concerns


def accounts(result: RunResult) -> Accounts:
    assert result.accounts is not None
    return result.accounts


def roles(result: RunResult) -> dict[str, RoleAttendance]:
    return {role.role: role for role in accounts(result).users.roles}


def absent(result: RunResult) -> dict[tuple[str, str], int]:
    """The absent users by role and code."""
    found: dict[tuple[str, str], int] = {}
    for item in accounts(result).users.shortfalls:
        if item.kind == "absent":
            found[item.role, item.code] = found.get((item.role, item.code), 0) + item.count
    return found


def sent(result: RunResult) -> int:
    assert result.audit is not None
    assert result.audit.counts["acknowledged"] == result.audit.counts["sent"] > 40
    return result.audit.counts["sent"]


def assert_red(result: RunResult) -> None:
    assert result.verdict is Verdict.VIOLATION
    assert result.exit_code == Exit.AUDIT


@pytest.mark.parametrize("workers", [1, 2])
async def test_everybody_is_there_on_a_sound_server(workers: int) -> None:
    async with faulty_server(door=OPEN) as server:
        result = await run(hall(), server.url, workers=workers)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert {name: (role.planned, role.present) for name, role in roles(result).items()} == {
        name: (count, count) for name, count in ALL.items()
    }
    assert {role.share for role in roles(result).values()} == {1.0}
    assert accounts(result).users.shortfalls == ()
    deliveries = accounts(result).deliveries
    assert deliveries.planned == deliveries.delivered == sent(result) * 17
    planned = sum(role.planned_s for role in roles(result).values())
    assert 17 * 1.0 < planned <= 17 * 1.81


@pytest.mark.parametrize(
    ("door", "within", "code", "text", "workers"),
    [
        (Door(status=503), "10s", "http_503", "the server answered 503 to the", 2),
        (Door(confirms=False), "400ms", "join_unanswered", "the join was not confirmed", 1),
    ],
)
async def test_who_is_not_let_in_is_absent_and_misses_everything(
    door: Door, within: str, code: str, text: str, workers: int
) -> None:
    out = {"reader": 8, "tail": 3}
    door = Door(some(out), door.status, door.silent, door.confirms)
    async with faulty_server(door=door) as server:
        result = await run(hall(there=6, within=within), server.url, workers=workers)
    assert_red(result)
    assert absent(result) == {("reader", code): 8, ("tail", code): 3}
    assert all(item.cause.startswith(text) for item in accounts(result).users.shortfalls)
    there = {name: (role.planned, role.present) for name, role in roles(result).items()}
    assert there == {"reader": (10, 2), "tail": (5, 2), "writer": (2, 2)}
    assert roles(result)["reader"].share == pytest.approx(0.2, abs=0.05)
    deliveries = accounts(result).deliveries
    assert deliveries.missed == 11 * sent(result)
    assert deliveries.planned == 17 * sent(result)
    assert deliveries.delivered == 6 * sent(result)
    assert sum(item.count for item in deliveries.shortfalls) == deliveries.missed
    assert {item.room for item in deliveries.shortfalls} == {"lobby"}
    assert result.audit is not None
    named = {found.subscriber for found in result.audit.violations if found.kind == "absent"}
    assert named == {f"reader {n}" for n in range(1, 9)} | {f"tail {n}" for n in range(1, 4)}
    assert result.reasons[0].startswith("11 of 17 users were absent: ")


async def test_a_refused_join_is_told_with_its_room() -> None:
    async with faulty_server(door=Door(some({"reader": 10}), join_error=True)) as server:
        result = await run(hall(there=7), server.url)
    assert_red(result)
    (item,) = [item for item in accounts(result).users.shortfalls if item.kind == "absent"]
    assert (item.role, item.count, item.code, item.room) == ("reader", 10, "forbidden", "lobby")
    assert accounts(result).deliveries.missed == 10 * sent(result)
    assert result.audit is not None
    frames = [found.frames for found in result.audit.violations if found.kind == "absent"]
    assert all(any("forbidden" in frame.text for frame in seen) for seen in frames)


@pytest.mark.parametrize(("code", "stays_away"), [(1000, True), (4500, True), (1011, False)])
async def test_closed_connections_are_absences(code: int, stays_away: bool) -> None:
    async with faulty_server(door=Door(some({"reader": 10}), close=(0.6, code))) as server:
        longer = hall(role="reconnect: exp(900ms..1s),").replace("for: 1500ms", "for: 2500ms")
        result = await run(longer, server.url)
    assert_red(result)
    reader = roles(result)["reader"]
    assert reader.planned == 10
    assert reader.share < 0.99
    closed = [item for item in accounts(result).users.shortfalls if item.code == f"close_{code}"]
    if stays_away:
        assert reader.present == 0
        assert {(item.kind, item.count) for item in closed} == {("absent", 10)}
        assert result.audit is not None
        audit = result.audit.counts
        assert accounts(result).deliveries.missed > 0
        assert accounts(result).deliveries.planned + audit["indeterminate"] == 17 * sent(result)
    else:
        assert {item.role for item in closed} == {"reader"}
        assert reader.interrupted == reader.present


async def test_ended_streams_are_absences() -> None:
    async with faulty_server(door=Door(some({"tail": 5}), close=(0.6, 0))) as server:
        result = await run(hall(role="reconnect: never,"), server.url)
    assert_red(result)
    assert absent(result) == {("tail", "stream_ended"): 5}
    assert accounts(result).deliveries.missed > 0


OUT = Door(some({"reader": 4, "tail": 2}), status=503)


@pytest.mark.parametrize("role", ["attendance: 55%,", "expect_errors: [{ code: http_503, share: 40% }],"])
async def test_a_scenario_may_allow_absence(role: str) -> None:
    async with faulty_server(door=OUT) as server:
        result = await run(hall(there=11, role=role), server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert absent(result) == {("reader", "http_503"): 4, ("tail", "http_503"): 2}
    assert accounts(result).deliveries.missed == 6 * sent(result)
    everything = (*accounts(result).users.shortfalls, *accounts(result).deliveries.shortfalls)
    assert all(item.allowed for item in everything)


VISITORS = """
    name: visitors
    phases: [{ name: run, for: 1500ms }]
    roles:
      visitor:
        arrivals: 40/s
        stay: 300ms
        flow: [connect, { join: lobby }, hold]
    audit: { settle: 200ms, delivery: none }
"""


async def test_a_visitor_whose_stay_ends_before_the_answer_is_not_absent() -> None:
    def third(user_id: str) -> bool:
        return int(user_id.rpartition("-")[2]) % 3 == 0

    async with faulty_server(door=Door(third, silent=True)) as server:
        result = await run(VISITORS, server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    visitor = roles(result)["visitor"]
    assert visitor.planned == visitor.present > 20
    assert visitor.share == 1.0
    assert any("visitor: gone too soon" in note for note in result.notes)


async def test_visitors_of_whom_nobody_gets_an_answer_are_absent() -> None:
    async with faulty_server(door=Door(silent=True)) as server:
        result = await run(VISITORS, server.url)
    assert_red(result)
    visitor = roles(result)["visitor"]
    assert visitor.present == 0
    assert absent(result) == {("visitor", "no_answer"): visitor.planned}


AWAY = """
    name: away
    phases:
      - { name: run, for: 1s }
      - { name: storm, for: 1500ms, cut: { roles: [reader], share: 100% } }
    roles:
      reader: { users: 6, reconnect: exp(100ms..300ms), flow: [connect, { join: lobby }, hold] }
      flaky:
        users: 4
        flow:
          - connect
          - join: lobby
          - loop: [{ hold: 300ms }, { kill: rst }, { backoff: exp(50ms..200ms) }, resume]
      shy: { users: 3, flow: [connect, { hold: 500ms }, disconnect, { think: 300ms }, connect, hold] }
      shed: { users: 2, expect_close: [4001], reconnect: never, flow: [connect, { join: lobby }, hold] }
      writer: { users: 1, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }] }
"""


async def test_absence_that_the_scenario_asks_for_is_none() -> None:
    async with faulty_server(door=Door(some({"shed": 2}), close=(0.5, 4001))) as server:
        result = await run(AWAY, server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert {name: (role.planned, role.present) for name, role in roles(result).items()} == {
        "reader": (6, 6), "flaky": (4, 4), "shy": (3, 3), "shed": (2, 2), "writer": (1, 1)
    }  # fmt: skip
    assert roles(result)["shed"].planned_s == pytest.approx(1.0, abs=0.4)
    assert roles(result)["flaky"].planned_s < 4 * 2.5
    assert accounts(result).users.interrupted == 0


async def test_an_interrupted_run_plans_nobody_beyond_its_end() -> None:
    async with faulty_server() as server:
        result = await run(
            hall().replace("for: 1500ms", "for: 60s"),
            server.url,
            stop_when=lambda state: sum(state.connections.values()) == 17,
        )
    assert result.verdict is Verdict.INTERRUPTED
    assert not any("absent" in reason for reason in result.reasons)
    assert result.duration < 60
    for role in roles(result).values():
        assert role.share == 1.0
        assert 0 < role.planned_s <= role.planned * result.duration


# -- our own server, as a process --------------------------------------------------------------------------


async def test_the_evidence_of_an_absence_ends_with_the_loss_of_the_connection(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    try:
        longer = hall().replace("for: 1500ms", "for: 2500ms")
        view = WhenAllAreThere(17, lambda: server.signal(signal.SIGKILL))
        result = await run(longer, server.url, workers=2, secret=SECRET, view=view)
    finally:
        server.kill()
    assert_red(result)
    assert (accounts(result).users.present, accounts(result).users.planned) == (0, 17)
    assert absent(result) == {
        ("reader", "close_1006"): 10,
        ("tail", "stream_broken"): 5,
        ("writer", "close_1006"): 2,
    }
    assert result.audit is not None
    last = [found.frames[-1].text for found in result.audit.violations if found.kind == "absent"]
    assert len(last) == 17
    assert all(text.startswith("connection closed") for text in last)
