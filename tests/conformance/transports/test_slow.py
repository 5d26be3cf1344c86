"""Slow consumers: bounded buffers, catching up from the log, gaps when the log was trimmed, the deadline."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtcli.protocol.position import parse_cursor
from rtcli_server.connections.hub import Client
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.raw_http import TEXT, RawWebSocket, encode
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws
from tests.support.servers.live_server import TRANSPORTS, LiveServer, live_server
from tests.support.servers.two_instances import http
from tests.support.waiting import wait_until

BUDGET = 65_536
CONTENT = "x" * 8_000
SETTINGS = {"send_budget_bytes": BUDGET, "rate_limit_per_s": None, "history_size": 10_000}


@pytest.fixture
def server(fast: bool) -> Iterator[LiveServer]:
    with live_server(fast_websockets=fast, **SETTINGS) as server:
        yield server


def flood(ws: RawWebSocket, room: str, count: int) -> None:
    """Publish, and read the answers, so that the publisher is not slow itself."""
    for number in range(count):
        ws.send("chat_message", f"{room}-{number}-{time.monotonic_ns()}", room=room, content=CONTENT)
        ws.until("ack")


def is_behind(server: LiveServer) -> None:
    server.wait_until(lambda realtime: len(realtime.slow_consumers) == 1)


def test_a_slow_member_gets_everything_once_when_it_reads_again(server: LiveServer) -> None:
    with open_ws(server, "1") as quick, open_ws(server, "2") as slow:
        join(quick, "a")
        join(slow, "a")
        flood(quick, "a", 1_000)  # 8 MB: the kernel takes up to 4 MB of it
        is_behind(server)
        assert (
            server.ask(lambda realtime: max(c.waiting_bytes for c in realtime.hub.clients.values()))
            < 4 * BUDGET
        )
        offsets = [slow.until("new_message")["data"]["offset"] for _ in range(1_000)]
        assert offsets == list(range(1, 1_001))
        server.wait_until(lambda realtime: len(realtime.slow_consumers) == 0)
        flood(quick, "a", 3)  # live again
        assert [slow.until("new_message")["data"]["offset"] for _ in range(3)] == [1_001, 1_002, 1_003]


def test_a_slow_stream_gets_everything_once_when_it_reads_again(server: LiveServer) -> None:
    with open_ws(server, "1") as quick, EventStream(server.port, rooms=("a",)) as slow:
        slow.until("ready")
        join(quick, "a")
        flood(quick, "a", 1_000)
        is_behind(server)
        offsets = []
        for _ in range(1_000):
            event = slow.until("new_message")
            offsets.append(json.loads(event.data)["offset"])
            assert parse_cursor(event.id, user_channel="user:7")["room:a"].offset == offsets[-1]
        assert offsets == list(range(1, 1_001))
        server.wait_until(lambda realtime: len(realtime.slow_consumers) == 0)
        flood(quick, "a", 1)
        assert json.loads(slow.until("new_message").data)["offset"] == 1_001


@pytest.mark.parametrize("kind", ["websocket", "stream"])
def test_events_for_a_slow_connection_alone_are_dropped_and_the_answer_says_so(
    server: LiveServer, kind: str
) -> None:
    """What was queued comes, in order; what was not is in no buffer either."""
    with open_ws(server, "2", path="/api/v1/ws?events=0") as ws, EventStream(server.port) as stream:
        stream.until("ready")
        name = server.ask(lambda realtime: next(it.connection_id for it in clients_of(realtime, kind)))
        queued: list[int] = []
        for start in range(0, 150, 15):  # 9 MB: the kernel takes up to 4 MB of it
            parts = [
                {"connection": name, "event": "x", "data": {"n": n, "text": "y" * 60_000}}
                for n in range(start, start + 15)
            ]
            answer = http(
                server, "POST", "/api/v1/batch", scope="publish", json={"publications": parts}
            ).json()["results"]
            queued += [n for n, result in enumerate(answer, start) if result["queued"]["here"]]
        assert 0 < len(queued) < 150
        assert server.ask(lambda realtime: max(it.waiting_bytes for it in clients_of(realtime, kind))) < (
            4 * BUDGET
        )
        last = {"event": "last"}
        seen: list[int] = []
        while len(seen) < len(queued):
            data = ws.until("direct")["data"] if kind == "websocket" else stream.json("direct")
            seen.append(data["data"]["n"])
        assert seen == queued
        server.wait_until(lambda realtime: len(realtime.slow_consumers) == 0)
        told = http(server, "POST", f"/api/v1/connections/{name}/events", scope="publish", json=last)
        assert told.json()["queued"]["here"] == 1


def clients_of(realtime: RealtimeServer, kind: str) -> list[Client]:
    transport = {"websocket": "websocket", "stream": "sse"}[kind]
    return [client for client in realtime.hub.clients.values() if client.transport == transport]


def test_publications_that_the_log_lost_meanwhile_are_told_by_a_gap(fast: bool) -> None:
    settings = {**SETTINGS, "history_size": 50}
    with (
        live_server(fast_websockets=fast, **settings) as server,
        open_ws(server, "1") as quick,
        open_ws(server, "2") as slow,
        EventStream(server.port, rooms=("a",)) as stream,
    ):
        stream.until("ready")
        join(quick, "a")
        join(slow, "a")
        flood(quick, "a", 1_000)
        server.wait_until(lambda realtime: len(realtime.slow_consumers) == 2)
        at = 0
        while at < 1_000:
            message = slow.message()
            if message["type"] == "gap":
                data = message["data"]
                assert int(data["from"].split("-")[1]) == at
                assert data["reason"] == "trimmed"
                assert data["lost"] == int(data["to"].split("-")[1]) - at > 0
                at += data["lost"]
            elif message["type"] == "new_message":
                at += 1
                assert message["data"]["offset"] == at
        at = 0
        while at < 1_000:
            event = stream.event()
            assert event is not None
            data = json.loads(event.data)
            if event.event == "gap":
                assert int(data["from"].split("-")[1]) == at
                at = parse_cursor(event.id, user_channel="user:7")["room:a"].offset
            elif event.event == "new_message":
                at += 1
                assert data["offset"] == at


def test_a_client_that_never_reads_is_cut_and_its_socket_is_gone(fast: bool) -> None:
    settings = {**SETTINGS, "slow_deadline_s": 0.5}
    with live_server(fast_websockets=fast, **settings) as server, open_ws(server, "1") as quick:
        join(quick, "a")
        server.wait_until(lambda realtime: len(realtime.hub.clients) == 1)
        gc.collect()
        before = descriptors()
        frozen = open_ws(server, "2")
        stream = EventStream(server.port, rooms=("a",))
        stream.until("ready")
        join(frozen, "a")
        flood(quick, "a", 1_000)
        server.wait_until(lambda realtime: len(realtime.hub.clients) == 1)
        frozen.sock.close()
        stream.sock.close()
        wait_until(lambda: descriptors() <= before)
        quick.send("ping", "still here")
        assert quick.until("pong")["id"] == "still here"


def descriptors() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


def test_ephemeral_events_are_skipped_for_a_client_that_lags(server: LiveServer) -> None:
    with open_ws(server, "1") as quick, open_ws(server, "2") as slow:
        join(quick, "a")
        join(slow, "a")
        flood(quick, "a", 1_000)
        is_behind(server)
        quick.send("typing", room="a", is_typing=True)
        quick.send("ping", "typed")
        quick.until("pong")
        assert not any(slow.message()["type"] == "user_typing" for _ in range(1_000))


def test_answers_do_not_pile_up_for_a_client_that_does_not_read(server: LiveServer) -> None:
    """The server stops reading from a client that does not read its answers; TCP makes the client wait."""

    def waiting(realtime: RealtimeServer) -> int:
        return max(client.waiting_bytes for client in realtime.hub.clients.values())

    bad = encode(TEXT, b'{"type":"nonsense %s"}' % (b"x" * 40)) * 19
    some = bad + encode(TEXT, b'{"type":"ping"}')  # 20 bad messages in a row would end the connection
    with open_ws(server) as ws:

        def ask() -> None:
            ws.sock.settimeout(None)
            for _ in range(8_000):  # which would give 25 MB of answers
                ws.send_raw(some)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        server.wait_until(lambda realtime: waiting(realtime) >= BUDGET // 4)  # paused between the water marks
        for _ in range(20):  # the server reads what is left before it answers these
            with open_ws(server) as other:
                other.send("ping", "later")
                assert other.until("pong")["id"] == "later"
        assert server.ask(waiting) < 16 * BUDGET
        ws.sock.shutdown(socket.SHUT_RDWR)
        asking.join(15)


def test_a_frozen_member_delays_nobody(server: LiveServer) -> None:
    with open_ws(server, "1") as quick, open_ws(server, "2") as frozen, open_ws(server, "3") as other:
        for ws in (quick, frozen, other):
            join(ws, "a")
        flood(quick, "a", 800)
        assert [other.until("new_message")["data"]["offset"] for _ in range(800)] == list(range(1, 801))
        is_behind(server)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_slow_member_of_many_rooms(transport: str) -> None:
    with (
        live_server(fast_websockets=TRANSPORTS[transport], **SETTINGS) as server,
        open_ws(server, "1") as quick,
        open_ws(server, "2") as slow,
    ):
        rooms = ["a", "b", "c"]
        for room in rooms:
            join(quick, room)
            join(slow, room)
        for _ in range(10):
            for room in rooms:
                flood(quick, room, 30)
        is_behind(server)
        seen: dict[str, list[int]] = {room: [] for room in rooms}
        for _ in range(900):
            data = slow.until("new_message")["data"]
            seen[data["room"]].append(data["offset"])
        assert all(seen[room] == list(range(1, 301)) for room in rooms)
