"""Who is excluded from a publication gets its position alone: live, in replays, in pages, on every log."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import connect_ws, join
from tests.support.servers.live_server import LiveServer
from tests.support.servers.two_instances import http

pytestmark = pytest.mark.system


@pytest.fixture
def server(stored_server: LiveServer) -> LiveServer:
    return stored_server


def post(server: LiveServer, path: str, **body: object) -> httpx.Response:
    return http(server, "POST", f"/api/v1{path}", "1", scope="publish", json=body)


def sent(server: LiveServer, path: str, **body: object) -> dict[str, Any]:
    answer = post(server, path, **body)
    assert answer.status_code == 201, answer.text
    published: dict[str, Any] = answer.json()
    return published


def opened(server: LiveServer, sub: str, query: str = "") -> tuple[RawWebSocket, dict[str, Any]]:
    """A connection, and its greeting."""
    ws = connect_ws(server, sub, path=f"/api/v1/ws{query}")
    greeting: dict[str, Any] = ws.message()["data"]
    return ws, greeting


def following(ws: RawWebSocket, count: int) -> list[tuple[str, int]]:
    """Type and offset of the next publications."""
    messages = [ws.until("new_message", "event", "skipped") for _ in range(count)]
    return [(message["type"], message["data"]["offset"]) for message in messages]


def said(server: LiveServer, room: str, *excludes: object) -> None:
    for number, exclude in enumerate(excludes):
        sent(server, f"/rooms/{room}/messages", content=f"m{number}", exclude=exclude)


def test_members_of_a_room(server: LiveServer, sub: str, room: str) -> None:
    (excluded, _), (other, _), (third, greeting) = (
        opened(server, sub),
        opened(server, f"{sub}1"),
        opened(server, f"{sub}2"),
    )
    users, connections = {"users": [sub]}, {"connections": [greeting["connection_id"]]}
    with excluded, other, third, EventStream(server.port, sub=sub, rooms=(room,)) as stream:
        start = stream.json("ready")["cursor"]
        for ws in (excluded, other, third):
            join(ws, room)
        said(server, room, None, users, connections, None)
        assert following(other, 4) == [("new_message", n) for n in (1, 2, 3, 4)]
        hidden = [("new_message", 1), ("skipped", 2), ("new_message", 3), ("new_message", 4)]
        assert following(excluded, 4) == hidden
        assert following(third, 4) == [
            ("new_message", 1),
            ("new_message", 2),
            ("skipped", 3),
            ("new_message", 4),
        ]
        told = [stream.event() for _ in range(4)]
        assert [event and event.event for event in told] == [
            "new_message",
            "skipped",
            "new_message",
            "new_message",
        ]
        assert told[1] is not None
        skipped = json.loads(told[1].data)
        assert skipped == {"room": room, "offset": 2, "epoch": skipped["epoch"]}
        assert told[1].id.startswith(f"{room}={skipped['epoch']}-2,")

        # A replay and a page leave it out too; a connection that is not there any more excludes nobody.
        replays: list[dict[str, str | int]] = [{"history": 10}, {"since": f"{skipped['epoch']}-0"}]
        for again in replays:
            reply = join(excluded, room, **again)
            assert (reply["replayed"], following(excluded, 4)) == (4, hidden)
        with EventStream(server.port, sub=sub, rooms=(room,), last_event_id=start) as resumed:
            assert resumed.json("ready")["recovered"] is True
            assert [(event := resumed.event()) and event.event for _ in range(4)] == [
                event and event.event for event in told
            ]
    for user, positions in ((sub, [1, 3, 4]), (f"{sub}1", [1, 2, 3, 4])):
        for query in ("", f"?since={skipped['epoch']}-0", "?limit=4"):
            page = http(server, "GET", f"/api/v1/rooms/{room}/messages{query}", user).json()
            assert [message["offset"] for message in page["messages"]] == positions
            assert page["skipped"] == [f"{skipped['epoch']}-{n}" for n in {1, 2, 3, 4} - set(positions)]
            assert (page["next"], page["more"]) == (page["top"], False)
            assert page["recovered"] in {None, True}
            assert "exclude" not in json.dumps(page)


def test_everybody_the_publisher_among_them(server: LiveServer, sub: str, room: str) -> None:
    (own, _), (other, greeting) = opened(server, "1"), opened(server, sub)
    with own, other, EventStream(server.port, sub="1", rooms=(room,)) as stream:
        stream.until("ready")
        for ws in (own, other):
            join(ws, room)
        exclude = {"users": [1], "connections": [greeting["connection_id"], "no-such"]}
        nobody = sent(server, f"/rooms/{room}/messages", content="x", exclude=exclude)
        assert nobody["queued"] == {"here": 0, "deployment": 0}
        said(server, room, None)
        for ws in (own, other):
            assert following(ws, 2) == [("skipped", 1), ("new_message", 2)]
        assert stream.json("skipped")["offset"] == 1
        assert stream.json("new_message")["offset"] == 2


def test_one_of_two_streams_of_a_user(server: LiveServer, sub: str, room: str) -> None:
    with (
        EventStream(server.port, sub=sub, rooms=(room,)) as excluded,
        EventStream(server.port, sub=sub, rooms=(room,)) as other,
    ):
        exclude = {"connections": [excluded.json("ready")["connection_id"]]}
        other.until("ready")
        personal = f"/users/{sub}/events"
        for path, body in ((f"/rooms/{room}/messages", {"content": "x"}), (personal, {"event": "x"})):
            assert sent(server, path, **body, exclude=exclude)["queued"]["here"] == 1
        sent(server, personal, event="last")
        assert [(event := excluded.event()) and event.event for _ in range(3)] == [
            "skipped",
            "skipped",
            "last",
        ]
        assert [(event := other.event()) and event.event for _ in range(3)] == ["new_message", "x", "last"]


def test_personal_and_broadcast_events(server: LiveServer, sub: str) -> None:
    (first, greeting), (second, _) = opened(server, sub), opened(server, sub)
    path = f"/users/{sub}/events"
    with first, second:
        exclude = {"connections": [greeting["connection_id"]]}
        for number in range(2):  # the first one wakes connections that wait without a subscription
            assert sent(server, path, event=f"e{number}", exclude=exclude)["queued"]["here"] == 1
        sent(server, path, event="last")
        assert following(first, 3) == [("skipped", 1), ("skipped", 2), ("event", 3)]
        assert following(second, 3) == [("event", 1), ("event", 2), ("event", 3)]
        top = sent(server, "/events", event="x", exclude={"users": [int(sub)]})
        for ws in (first, second):
            message = ws.until("event", "skipped")
            assert (message["type"], message["data"]) == (
                "skipped", {"room": "~all", "offset": top["offset"], "epoch": top["epoch"]},
            )  # fmt: skip
        first.send("cursor", "k")
        assert f"~all={top['position']}" in first.until("cursor")["data"]["cursor"]
    back, resumed = opened(server, sub, f"?last_event_id={greeting['cursor']}")
    with back:  # another connection of that user: its own events are for it, the broadcast is not
        assert resumed["recovered"] is True
        seen = following(back, 4)
        assert sorted(kind for kind, _ in seen) == ["event", "event", "event", "skipped"]


def test_a_repeat_with_other_exclusions_is_another_publication(server: LiveServer, room: str) -> None:
    path, body = f"/rooms/{room}/messages", {"content": "x", "id": "1"}
    exclude = {"users": ["7", "8"], "connections": ["c-1"]}
    sent(server, path, **body, exclude=exclude)
    assert post(server, path, **body, exclude=exclude | {"users": ["8", "7", "7"]}).status_code == 200
    for other in (None, {"users": ["7"]}, {"users": ["7", "8"]}):
        assert post(server, path, **body, exclude=other).status_code == 409


def test_pages_of_nothing_but_exclusions(server: LiveServer, sub: str, room: str) -> None:
    """More than one piece of them, between pieces that are shown."""
    part = {"room": room, "content": "x" * 8_000}
    parts = [part | ({"exclude": {"users": [sub]}} if 10 <= number < 60 else {}) for number in range(80)]
    results = post(server, "/batch", publications=parts).json()["results"]
    assert {result["status"] for result in results} == {201}
    page = http(server, "GET", f"/api/v1/rooms/{room}/messages?limit=80", sub).json()
    assert [message["offset"] for message in page["messages"]] == [*range(1, 11), *range(61, 81)]
    assert [int(position.rpartition("-")[2]) for position in page["skipped"]] == list(range(11, 61))
    hidden = http(
        server, "GET", f"/api/v1/rooms/{room}/messages?limit=40&since={page['skipped'][0]}", sub
    ).json()
    assert (hidden["messages"], len(hidden["skipped"]), hidden["more"]) == ([], 40, True)
