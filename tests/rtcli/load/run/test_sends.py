"""Every message that is due is accounted for, against real servers: those that fail it, and sound ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rtcli.load.results.accounts import SendsAccount
from rtcli.load.results.model import RunResult, Verdict
from rtcli.protocol.paths import room_messages_path
from rtcli.protocol.tokens import create_token
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.fakes.publish_target import Answer, publish_target
from tests.support.load.runs import SECRET, run
from tests.support.ports import free_port
from tests.support.servers.server_process import SECRET as PROCESS_SECRET
from tests.support.servers.server_process import ServerProcess

PHASES = """
    name: sends
    seed: 6
    phases:
      - { name: gather, for: 1000ms, publish: stop }
      - { name: run, for: 1s }
      - { name: drain, for: 200ms, publish: stop }
    audit: { settle: 1200ms }
"""
BRISK = PHASES.replace("1000ms", "300ms")
UNHURRIED = PHASES.replace("1000ms", "2500ms")  # however late a busy machine starts its users
ROOM = """
    roles:
      reader: { users: 3, flow: [connect, { join: lobby }, hold] }
      writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 15/s } }] }
"""


def settings(rate_limit: float | None = None) -> Settings:
    return Settings(
        port=0,
        secrets=(SECRET,),
        rate_limit_per_s=rate_limit,
        user_connections=None,
        address_connections=None,
    )


def sends(result: RunResult) -> SendsAccount:
    """The account, whose parts add up."""
    assert result.accounts is not None
    found = result.accounts.sends
    parts = (found.accepted, *found.refused.values(), found.unanswered, found.not_sendable, found.excused)
    assert found.due == sum(parts)
    assert sum(it.count for it in found.shortfalls) == found.due - found.accepted - found.excused
    return found


def unsent(result: RunResult) -> list[tuple[str, str, str]]:
    """Outcome, code and cause of each group, the largest first."""
    return [(it.outcome, it.code, it.cause) for it in sends(result).shortfalls]


async def test_refused_messages_are_unsent_and_fail_the_run() -> None:
    async with running_server(settings(1.0)) as server:
        result = await run(PHASES + ROOM, server.url, workers=2)
    found = sends(result)
    assert result.verdict is Verdict.VIOLATION
    assert found.due == found.sent == 30
    assert found.refused == {"rate_limited": 30 - found.accepted}
    assert 0 < found.accepted < 15
    (group,) = found.shortfalls
    assert (group.role, group.phase, group.room) == ("writer", "run", "lobby")
    assert sorted(group.who) == ["writer 1", "writer 2"]
    assert result.audit is not None
    rows = [it for it in result.audit.violations if it.kind == "unsent"]
    assert len(rows) == 30 - found.accepted
    assert {it.publisher for it in rows} == {"writer 1", "writer 2"}
    assert {it.number for it in rows if it.publisher == "writer 1"} <= set(range(1, 16))
    assert all(it.room == "lobby" and it.sent is not None and it.sent > 0.3 for it in rows)
    assert all("rate_limited" in (it.frames[-1].text if it.frames else "") for it in rows)


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [
        ("[unavailable, { code: rate_limited, phase: run }]", Verdict.PASSED),
        ("[{ code: rate_limited, share: 10% }, unavailable]", Verdict.VIOLATION),
    ],
)
async def test_a_scenario_says_which_errors_may_come(allowed: str, verdict: Verdict) -> None:
    text = PHASES + ROOM.replace("writer: { users: 2,", f"writer: {{ users: 2, expect_errors: {allowed},")
    async with running_server(settings(1.0)) as server:
        result = await run(text, server.url)
    assert result.verdict is verdict, result.reasons
    assert [it.allowed for it in sends(result).shortfalls] == [verdict is Verdict.PASSED]
    assert result.audit is not None
    assert any(it.kind == "unsent" for it in result.audit.violations) is (verdict is Verdict.VIOLATION)


@pytest.mark.parametrize(
    ("more", "verdict"),
    [("sends: off", Verdict.PASSED), ("audit: { delivery: none, settle: 1200ms }", Verdict.VIOLATION)],
)
async def test_sends_can_be_off_and_the_audit_alone_does_not_turn_them_off(
    more: str, verdict: Verdict
) -> None:
    text = PHASES.replace("    audit: { settle: 1200ms }\n", "") if "audit" in more else PHASES
    async with running_server(settings(1.0)) as server:
        result = await run(f"{text}    {more}\n{ROOM}", server.url)
    assert result.verdict is verdict, result.reasons
    assert sends(result).refused["rate_limited"] > 10


async def test_a_server_that_is_killed_leaves_messages_unanswered_and_unsendable(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    await server.start()
    text = (PHASES + ROOM).replace("for: 1s", "for: 3s")
    running = asyncio.create_task(run(text, server.url, secret=PROCESS_SECRET))
    await published(server.url)
    server.signal(signal.SIGKILL)
    result = await running
    server.wait()
    found = sends(result)
    assert result.verdict is Verdict.VIOLATION
    assert found.due == 90
    assert found.accepted > 0
    assert found.not_sendable > 10
    assert found.excused == 0
    assert {it.code for it in found.shortfalls} <= {"close_1006", "connection_refused", "connection_reset"}
    assert {it.phase for it in found.shortfalls} == {"run"}


async def published(url: str) -> None:
    """Wait until a message was published to the lobby."""
    token = create_token(PROCESS_SECRET, sub="watcher", name="watcher", now=time.time(), ttl_s=60)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        address = f"{url}{room_messages_path('lobby')}"
        while '"content"' not in (await client.get(address)).text:  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.05)


async def test_who_never_gets_in_does_not_send_what_the_plan_says() -> None:
    text = UNHURRIED.replace("for: 1s", "for: 3s") + ROOM.replace(
        "writer: { users: 2,",
        "visitor: { users: 1, flow: [connect, { join: lobby }, { wait: { phase: run } }, { send: lobby }, "
        "{ think: 200ms }, { send: { room: lobby, count: 2 } }] }\n      writer: { users: 2,",
    )
    result = await run(text, f"http://127.0.0.1:{free_port()}")
    found = sends(result)
    assert (found.due, found.not_sendable, found.sent) == (93, 93, 0)
    assert {(it.role, it.count) for it in found.shortfalls} == {("writer", 90), ("visitor", 3)}
    assert {it.code for it in found.shortfalls} == {"connection_refused"}
    assert result.verdict is Verdict.VIOLATION


async def test_who_is_not_let_into_a_room_does_not_send_what_the_plan_says() -> None:
    text = UNHURRIED + ROOM.replace(
        "join: lobby }, { send: { room: lobby", "join: '${run}?' }, { send: { room: '${run}?'"
    )
    async with running_server(settings()) as server:
        result = await run(text, server.url)
    found = sends(result)
    assert (found.due, found.not_sendable, found.sent) == (30, 30, 0)
    assert {it.code for it in found.shortfalls} == {"invalid_room"}


async def test_who_is_back_late_did_not_send_meanwhile() -> None:
    text = (PHASES + ROOM).replace("for: 1s", "for: 3s").replace("writer: {", "writer: { reconnect: 50ms,")
    port, tried = free_port(), asyncio.Event()

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tried.set()
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", port):
        running = asyncio.create_task(run(text, f"http://127.0.0.1:{port}"))
        await tried.wait()
        await asyncio.sleep(2)  # the first of them are due after 1 s
    late = Settings(
        port=port, secrets=(SECRET,), rate_limit_per_s=None, user_connections=None, address_connections=None
    )
    async with running_server(late):
        result = await running
    found = sends(result)
    assert found.due == found.accepted + found.not_sendable
    # What was due while the attempt that succeeded was under way was not.
    under_way = sum(result.metrics[name].max or 0.0 for name in ("ws_connecting", "join_ack", "loop_lag"))
    assert 90 - 2 * (1 + 15 * under_way) <= found.due <= 90
    assert found.accepted > 5
    assert found.not_sendable > 5


OWN = """
    roles:
      reader: { users: 3, flow: [connect, { join: lobby }, hold] }
      cut:
        users: 2
        reconnect: exp(200ms..300ms)
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }]
      killed:
        users: 2
        flow:
          - connect
          - join: lobby
          - send: { room: lobby, rate: 20/s, for: 600ms }
          - kill: rst
          - think: 200ms
          - resume
          - send: { room: lobby, rate: 20/s }
      left:
        users: 2
        flow: [connect, { join: lobby }, { send: { room: lobby, count: 5, ack: false } }, disconnect]
      visitor:
        arrivals: 10/s
        stay: uniform(100ms, 400ms)
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 20/s } }]
"""


@pytest.mark.parametrize("how", ["rst", "blackhole"])
async def test_what_the_scenario_itself_prevents_is_excused(how: str) -> None:
    cut = f"{{ name: run, for: 1s, cut: {{ roles: [cut], how: {how}, at: 300ms }} }}"
    async with running_server(settings()) as server:
        result = await run((BRISK + OWN).replace("{ name: run, for: 1s }", cut), server.url)
    found = sends(result)
    assert found.shortfalls == ()
    assert result.verdict is Verdict.PASSED, result.reasons
    assert found.due == found.accepted + found.excused
    assert found.excused > 0
    assert found.unconfirmed >= 10
    assert not found.acks


async def test_an_expected_refusal_does_not_make_a_flow_begin_again() -> None:
    text = (
        PHASES
        + """
    roles:
      writer:
        users: 1
        expect_errors: rate_limited
        flow: [connect, { join: lobby }, { wait: { phase: run } }, { send: { room: lobby, count: 8 } }, hold]
      reader: { users: 1, flow: [connect, { join: lobby }, hold] }
"""
    )
    async with running_server(settings(1.0)) as server:
        result = await run(text, server.url)
    found = sends(result)
    assert found.due == 8
    assert found.refused["rate_limited"] == 8 - found.accepted > 0
    assert result.metrics["ws_sessions"].count == 2
    assert result.verdict is Verdict.PASSED, result.reasons


# -- other protocols ---------------------------------------------------------------------------------------

CHAT = """
    target:
      protocol: json
      frames:
        join: { do: enter, room: "${room}" }
        joined: { match: { is: entered }, room: room }
        send: { do: say, room: "${room}", text: "${text}", ref: "${id}" }
        data: { match: { is: said }, room: room }
        ACK
        ERROR
"""


@contextlib.asynccontextmanager
async def chat(*, refuses: str = "", answers: bool = True):  # type: ignore[no-untyped-def]  # noqa: ANN201 - an inferred context manager
    """A chat with JSON frames. `refuses`: the error's frame for every second message, without its id."""
    people: set[ServerConnection] = set()

    async def talk(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                it = json.loads(frame)
                if it["do"] == "enter":
                    people.add(connection)
                    await connection.send(json.dumps({"is": "entered", "room": it["room"]}))
                elif refuses and len(it["ref"]) and int(it["ref"].rpartition("-")[2]) % 2:
                    await connection.send(refuses)
                else:
                    if answers:
                        await connection.send(json.dumps({"is": "ok", "ref": it["ref"]}))
                    for one in people:
                        await one.send(json.dumps({"is": "said", "room": it["room"], "text": it["text"]}))
        people.discard(connection)

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_without_acknowledgements_what_was_sent_counts_and_that_is_told() -> None:
    text = PHASES + CHAT.replace("ACK", "").replace("ERROR", "") + ROOM
    async with chat() as url:
        result = await run(text, url)
    found = sends(result)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert (found.due, found.accepted, found.unconfirmed, found.acks) == (30, 30, 30, False)


async def test_errors_that_do_not_say_what_they_answer_are_the_answers_to_what_stays_without_one() -> None:
    text = PHASES + CHAT.replace("ACK", "ack: { match: { is: ok }, id: ref }").replace(
        "ERROR", "error: { match: { is: wrong } }"
    )
    async with chat(refuses='{"is": "wrong"}') as url:
        result = await run(text + ROOM, url)
    found = sends(result)
    assert found.due == 30
    assert found.refused == {"error": 30 - found.accepted}
    assert 10 < found.accepted < 20
    assert result.verdict is Verdict.VIOLATION


HUB = """
    target: { protocol: sse, publish: { path: "/pub/${room}", body: "${text}" } }
    roles: { writer: { users: 2, EXPECTED flow: [{ send: { room: news, rate: 15/s } }] } }
"""


@pytest.mark.parametrize(
    ("answer", "group"),
    [
        (429, ("refused", "http_429", "refused: http_429")),
        (None, ("unanswered", "no_answer", "no acknowledgement came")),
        (0, ("unanswered", "connection_reset", "the server broke off the request to publish")),
    ],
)
async def test_publishing_over_http_to_a_server_that_does_not_take_it(
    answer: Answer, group: tuple[str, str, str]
) -> None:
    async with publish_target(lambda number: answer if number % 3 else 204) as url:
        result = await run(PHASES + HUB.replace("EXPECTED", ""), url)
    found = sends(result)
    assert unsent(result) == [group]
    assert (found.due, found.sent, found.accepted) == (30, 30, 10)
    assert result.verdict is Verdict.VIOLATION


async def test_publishing_over_http_where_nobody_listens() -> None:
    result = await run(PHASES + HUB.replace("EXPECTED", ""), f"http://127.0.0.1:{free_port()}")
    found = sends(result)
    assert unsent(result) == [("not_sendable", "connection_refused", "connection refused")]
    assert (found.due, found.sent, found.not_sendable) == (30, 0, 30)


async def test_refused_publications_can_be_expected() -> None:
    text = PHASES + HUB.replace("EXPECTED", "expect_errors: [{ code: http_429, share: 70% }],")
    async with publish_target(lambda number: 429 if number % 3 else 204) as url:
        result = await run(text, url)
    assert [it.allowed for it in sends(result).shortfalls] == [True]
    assert result.verdict is not Verdict.VIOLATION
