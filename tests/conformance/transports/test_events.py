"""Personal and broadcast events over WebSockets and streams: all of them, once, wherever a client goes on."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import connect_ws, join, publish_event, say
from tests.support.servers.live_server import LiveServer

pytestmark = pytest.mark.system

Greeting = dict[str, Any]


@pytest.fixture
def server(stored_server: LiveServer) -> LiveServer:
    return stored_server


def open_at(server: LiveServer, sub: str, cursor: str = "") -> tuple[RawWebSocket, Greeting]:
    path = f"/api/v1/ws?last_event_id={quote(cursor, safe='')}" if cursor else "/api/v1/ws"
    ws = connect_ws(server, sub, path=path)
    greeting: Greeting = ws.message()["data"]
    return ws, greeting


def numbers_of(ws: RawWebSocket, channel: str, count: int) -> list[int]:
    """The numbers of the next `count` events of a channel; those of the other one are left out."""
    found: list[int] = []
    while len(found) < count:
        data = ws.until("event")["data"]
        if data["channel"] == channel:
            found.append(data["data"]["n"])
    return found


def test_each_connection_of_a_user_gets_every_event_once_in_order(server: LiveServer, sub: str) -> None:
    first, _ = open_at(server, sub)
    second, _ = open_at(server, sub)
    with first, second, EventStream(server.port, sub=sub) as stream:
        stream.until("ready")
        publish_event(server, f"user:{sub}", *range(5))
        publish_event(server, f"user:{sub}", *range(5, 10))
        for ws in (first, second):
            assert numbers_of(ws, f"user:{sub}", 10) == list(range(10))
        assert [json.loads(stream.until("news").data)["n"] for _ in range(10)] == list(range(10))


def test_who_begins_beside_one_that_follows_gets_the_same(server: LiveServer, sub: str) -> None:
    """The first follows the user's channel since it was written to; the other waits for word of it."""
    first, _ = open_at(server, sub)
    with first:
        publish_event(server, f"user:{sub}", 1)
        assert numbers_of(first, f"user:{sub}", 1) == [1]
        second, _ = open_at(server, sub)
        with second:
            publish_event(server, f"user:{sub}", 2, 3)
            for ws in (first, second):
                assert numbers_of(ws, f"user:{sub}", 2) == [2, 3]
        publish_event(server, f"user:{sub}", 4)
        assert numbers_of(first, f"user:{sub}", 1) == [4]


def test_a_cursor_goes_on_over_either_transport(server: LiveServer, sub: str) -> None:
    ws, greeting = open_at(server, sub)
    ws.sock.close()
    cursor = greeting["cursor"]
    publish_event(server, f"user:{sub}", 1, 2)
    publish_event(server, "all", 3)
    ws, greeting = open_at(server, sub, cursor)
    with ws:
        assert greeting["recovered"] is True
        assert {state["recovered"] for state in greeting["channels"].values()} == {True}
        events = [ws.until("event")["data"]["data"]["n"] for _ in range(3)]
        assert sorted(events) == [1, 2, 3]
        ws.send("cursor", "c-1")
        answer = ws.until("cursor")
        assert answer["id"] == "c-1"
        publish_event(server, f"user:{sub}", 4)
        assert numbers_of(ws, f"user:{sub}", 1) == [4]
    with EventStream(server.port, sub=sub, last_event_id=answer["data"]["cursor"]) as stream:
        ready = stream.json("ready")
        assert ready["recovered"] is True
        event = stream.until("news")
        assert json.loads(event.data) == {"n": 4}
    ws, greeting = open_at(server, sub, event.id or "")
    with ws:  # of the stream: there is nothing that it has not seen
        assert greeting["recovered"] is True
        publish_event(server, f"user:{sub}", 5)
        assert numbers_of(ws, f"user:{sub}", 1) == [5]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("~me=zzzz-1", "epoch_changed"),
        ("~me=", "invalid_cursor"),
        ("x", "invalid_cursor"),
        (",".join(["~me=zzzz-1", *(f"r{number}=zzzz-1" for number in range(100))]), "epoch_changed"),
        (",".join(["~me=zzzz-1", *(f"r{number}=zzzz-1" for number in range(101))]), "invalid_cursor"),
    ],
    ids=["other epoch", "empty", "word", "as many rooms as may be", "one room more"],
)
def test_what_cannot_be_recovered_is_said(server: LiveServer, sub: str, cursor: str, reason: str) -> None:
    ws, greeting = open_at(server, sub, cursor)
    with ws:
        assert (greeting["recovered"], greeting["reason"]) == (False, reason)
        assert greeting["channels"]["~me"]["reason"] == reason
        publish_event(server, f"user:{sub}", 1)
        assert numbers_of(ws, f"user:{sub}", 1) == [1]


def test_the_first_join_goes_on_at_the_rooms_position_in_the_cursor(server: LiveServer, sub: str) -> None:
    ws, _ = open_at(server, sub)
    with ws:
        room = f"room-{sub}"
        position = join(ws, room)["position"]
        say(ws, room, "missed")
    ws, _ = open_at(server, sub, f"{room}={position}")
    with ws:
        ws.send("join_room", None, room=room)
        data = ws.until("room_joined")["data"]
        assert (data["recovered"], data["replayed"]) == (True, 1)
        assert ws.until("new_message")["data"]["content"] == "missed"
