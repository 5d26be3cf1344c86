"""What users do, against a real server: every step, and what becomes of it when things go wrong."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.run.coordinator import RunState
from rtcli.protocol.messages import encode
from rtcli.protocol.messages.server import Connected, ConnectedData
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import SECRET, run

HEAD = """
    name: steps
    seed: 9
    phases:
      - { name: first, for: 1s }
      - { name: second, for: 1s }
      - { name: drain, for: 200ms, publish: stop }
"""


def settings() -> Settings:
    return Settings(
        port=0, secrets=(SECRET,), rate_limit_per_s=None, user_connections=None, address_connections=None
    )


async def play(roles: str, *, workers: int = 1, more: str = "") -> RunResult:
    async with running_server(settings()) as server:
        return await run(HEAD + roles + more, server.url, workers=workers)


def accepted(state: RunState) -> int:
    return sum(sum(phases.values()) for roles in state.accepted.values() for phases in roles.values())


def value(result: RunResult, name: str) -> float:
    metric = result.metrics.get(name)
    return 0.0 if metric is None else metric.count


async def test_expect_sees_the_answer_to_the_step_before_and_captures() -> None:
    result = await play(
        """
    roles:
      asker:
        users: 2
        flow:
          - connect
          - join: lobby
          - expect: { type: room_joined, where: { data.room: lobby }, capture: { top: data.position } }
          - send: { room: lobby, text: "since ${session.top} ${user.name}" }
          - expect: { type: new_message, contains: "${user.name}", within: 2s }
          - expect: { type: never, not: true, within: 100ms }
          - expect: { type: never, within: 100ms }
          - hold
    thresholds: { "checks{step:3.expect}": ["rate == 100%"], checks: ["rate > 70%"] }
"""
    )
    assert result.metrics["checks"].rate == 0.75
    assert value(result, "errors") == 0
    assert [it.outcome for it in result.thresholds] == ["passed", "passed"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_barriers_and_signals_hold_across_workers(workers: int) -> None:
    result = await play(
        """
    roles:
      runner:
        users: 4
        flow:
          - connect
          - wait: { barrier: start, users: 4 }
          - join: lobby
          - wait: { signal: go }
          - send: { room: lobby, text: started }
          - hold
      starter:
        users: 1
        flow: [connect, { wait: { phase: second } }, { signal: go }, hold]
""",
        workers=workers,
    )
    assert result.audit is not None
    assert result.audit.counts["sent"] == 4
    assert result.audit.counts["delivered"] == 16
    assert result.timeline[0].sent == 0
    assert result.notes == []


async def test_loops_choices_and_typing() -> None:
    result = await play(
        """
    roles:
      talker:
        users: 2
        flow:
          - connect
          - join: lobby
          - loop:
              times: 3
              steps:
                - typing: lobby
                - choose:
                    - { weight: 1, steps: [{ send: { room: lobby, text: "round ${loop}" } }] }
                    - { weight: 1, steps: [{ send: { room: lobby, text: "ROUND ${loop}", ack: false } }] }
                - think: 50ms
          - leave: lobby
          - disconnect
"""
    )
    assert result.audit is not None
    assert result.audit.counts["sent"] == 6
    assert result.audit.counts["lost"] == 0
    assert value(result, "iterations") == 8  # six rounds, two flows
    assert result.metrics["join_ack"].count == 2


async def test_http_steps_are_checked_and_capture() -> None:
    result = await play(
        """
    roles:
      caller:
        users: 1
        flow:
          - connect
          - http:
              path: /api/v1/rooms/lobby/messages
              method: POST
              json: { content: hello }
              capture: { at: position }
          - http: { path: "/api/v1/rooms/lobby/messages?limit=1" }
          - http: { path: /nothing-here }
          - log: "published at ${session.at}"
          - hold
"""
    )
    assert result.metrics["checks"].rate == pytest.approx(2 / 3)
    assert result.metrics["http_req_duration"].count == 3
    assert value(result, "errors") == 0


async def test_people_come_and_go() -> None:
    result = await play(
        """
    roles:
      visitor:
        arrivals: 20/s
        stay: uniform(100ms, 400ms)
        flow: [connect, { join: lobby }, { send: { room: lobby, text: hi } }, hold]
      guest:
        users: 10
        flow: [connect, { join: lobby }, hold]
"""
    )
    assert result.audit is not None
    assert result.audit.counts["lost"] == 0
    assert result.audit.counts["sent"] > 20
    assert value(result, "ws_sessions") > 30
    assert result.generator.users < 40
    assert value(result, "close") == 0


async def test_rooms_that_people_name_in_whatever_spelling() -> None:
    """Sent in NFC over WebSocket, by HTTP and in the request of a stream; a threshold finds it, too."""
    nfd, nfc = "Cafe\u0301, 100 % #1 = x", "Café # 2"
    result = await play(
        f"""
    target: {{ protocol: rtcli }}
    roles:
      writer:
        users: 2
        flow: [connect, {{ join: "{nfd}" }}, {{ join: "{nfc}" }}, {{ send: {{ room: "{nfd}", rate: 20/s }} }}]
      reader:
        users: 2
        protocol: sse
        flow:
          - connect: {{ rooms: ["{nfd}", "Cafe\u0301 # 2"] }}
          - send: {{ room: "Cafe\u0301 # 2", rate: 10/s }}
    thresholds: {{ "fanout_latency{{room:Cafe\u0301 # 2}}": ["p(99) < 10s"] }}
"""
    )
    assert result.verdict is Verdict.PASSED, result.notes
    assert result.accounts is not None
    assert not result.accounts.shortfalls


async def test_refusals_are_counted_by_code_and_the_user_goes_on() -> None:
    result = await play(
        """
    target: { protocol: rtcli }
    roles:
      lost:
        users: 1
        reconnect: exp(50ms..100ms)
        flow: [connect, { join: "no room" }, hold]
""".replace("no room", "${mod(user.number, 1)}?")
    )
    assert value(result, "errors{code:invalid_room}") > 0
    assert any("invalid_room" in note for note in result.notes)


async def test_what_was_due_while_away_is_counted_and_not_sent_in_a_heap_later() -> None:
    cut = "{ name: second, for: 1s, cut: { roles: [writer], share: 100%, how: rst } }"
    async with running_server(settings()) as server:
        result = await run(
            HEAD.replace("{ name: second, for: 1s }", cut)
            + """
    roles:
      writer:
        users: 2
        reconnect: exp(300ms..300ms)
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 50/s } }]
""",
            server.url,
        )
    assert result.audit is not None
    dropped, sent = value(result, "dropped_sends"), result.audit.counts["sent"]
    assert dropped > 0
    assert 190 <= dropped + sent <= 202
    assert result.audit.counts["lost"] == 0


async def test_a_second_timetable_begins_where_the_time_is() -> None:
    result = await play(
        """
    roles:
      writer:
        users: 1
        reconnect: never
        flow:
          - connect
          - join: lobby
          - send: { room: lobby, rate: 50/s, for: 500ms }
          - kill: rst
          - think: 200ms
          - resume
          - send: { room: lobby, rate: 50/s }
      reader: { users: 2, flow: [connect, { join: lobby }, hold] }
"""
    )
    assert result.audit is not None
    assert result.audit.counts["lost"] == 0
    assert value(result, "dropped_sends") == 0
    assert 50 < result.audit.counts["sent"] < 96
    assert value(result, "reconnects") == 1


@pytest.mark.parametrize("how", ["rst", "fin", "blackhole"])
async def test_a_cut_hits_a_share_of_a_role_and_they_come_back(how: str) -> None:
    cut = f"{{ name: second, for: 1s, cut: {{ roles: [reader], share: 50%, how: {how} }} }}"
    async with running_server(settings()) as server:
        result = await run(
            HEAD.replace("{ name: second, for: 1s }", cut)
            + """
    roles:
      reader: { users: 20, reconnect: exp(50ms..200ms), flow: [connect, { join: lobby }, hold] }
      writer: { users: 1, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 30/s } }] }
""",
            server.url,
        )
    assert result.audit is not None
    assert value(result, "reconnects") == 10
    assert result.metrics["recovery_time"].count == 10
    assert not result.audit.violations


@pytest.mark.parametrize("how", ["", "protocol: sse,"])
async def test_who_is_cut_off_while_it_would_resume_anyway_comes_back_once(how: str) -> None:
    enter = "{ connect: { rooms: [lobby] } }" if how else "connect, { join: lobby }"
    cut = "{ name: second, for: 1s, cut: { roles: [reader], how: rst } }"
    again = "{ wait: { phase: second } }, { think: 100ms }, { kill: rst }, resume, hold"
    async with running_server(settings()) as server:
        result = await run(
            HEAD.replace("{ name: second, for: 1s }", cut)
            + f"""
    roles:
      reader: {{ users: 10, {how} reconnect: exp(600ms..600ms), flow: [{enter}, {again}] }}
      writer: {{ users: 1, flow: [connect, {{ join: lobby }}, {{ send: {{ room: lobby, rate: 30/s }} }}] }}
""",
            server.url,
        )
    assert result.audit is not None
    assert not result.audit.violations
    assert (
        10 <= value(result, "reconnects") < 15
    )  # who is back within 100 ms is killed again, as the flow says
    assert max(row.connections for row in result.timeline) <= 11


async def test_who_is_cut_off_while_it_waits_for_the_greeting_connects_once_more() -> None:
    hello = ConnectedData(connection_id="c1", user_id="u", instance_id="i", heartbeat_s=25)

    async def greet_late(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await asyncio.sleep(0.6)
            await connection.send(encode(Connected(data=hello)), text=True)
            await connection.wait_closed()

    cut = "{ name: first, for: 2s, cut: { roles: [reader], how: rst, at: 400ms } }"
    roles = "\n    roles: { reader: { users: 5, reconnect: exp(50ms..50ms), flow: [connect, hold] } }\n"
    async with serve(greet_late, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        result = await run(HEAD.replace("{ name: first, for: 1s }", cut) + roles, f"http://127.0.0.1:{port}")
    assert value(result, "ws_sessions") <= 10
    assert max(row.connections for row in result.timeline) == 5


async def test_a_server_that_goes_away_in_the_middle_is_told() -> None:
    async with faulty_server(Faults({})) as server:
        result = await run(
            HEAD
            + """
    roles:
      reader: { users: 3, reconnect: never, flow: [connect, { join: lobby }, { hold: 300ms }, { kill: fin }] }
      writer: { users: 1, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }] }
""",
            server.url,
        )
    assert result.audit is not None
    assert result.audit.counts["lost"] == 0
    assert result.exit_code == 0


async def test_an_interrupted_run_has_full_results() -> None:
    async with running_server(settings()) as server:
        result = await run(
            HEAD.replace("second, for: 1s", "second, for: 60s")
            + """
    roles:
      writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }] }
""",
            server.url,
            stop_when=lambda state: accepted(state) > 20,
        )
    assert result.exit_code == 130
    assert result.audit is not None
    assert result.audit.counts["expected"] == result.audit.counts["delivered"] > 20
    assert result.duration < 60


async def test_a_threshold_can_end_the_run() -> None:
    async with running_server(settings()) as server:
        result = await run(
            HEAD.replace("second, for: 1s", "second, for: 60s")
            + """
    roles:
      writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }] }
    thresholds: { ws_msgs_sent: [{ expr: "count < 10", abort: true }] }
""",
            server.url,
        )
    assert result.exit_code == 99
    assert result.thresholds[0].aborted
    assert result.duration < 10
