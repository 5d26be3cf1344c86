"""Rooms by the names that people give them: over WebSockets, event streams and HTTP, on each log."""

from __future__ import annotations

import itertools
from urllib.parse import quote

import httpx
import pytest

from rtcli.protocol.position import parse_cursor
from rtcli.protocol.tokens import RoomGrant
from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws
from tests.support.protocol.room_names import HARD_NAMES, decomposed
from tests.support.redis.cluster import RedisCluster
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server, token

pytestmark = pytest.mark.system

_runs = itertools.count()


@pytest.fixture(params=HARD_NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """A hard name that no other test uses."""
    return f"{request.param} é{next(_runs)}"


def http(server: LiveServer, *, bearer: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {bearer or token('7', name='Ann')}"}
    return httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False, timeout=30)


def at(room: str, what: str) -> str:
    return f"/rooms/{quote(room, safe='')}/{what}"


def test_replies_repeat_the_spelling_and_everything_else_has_nfc(
    stored_server: LiveServer, name: str
) -> None:
    nfd = decomposed(name)
    assert nfd != name
    with open_ws(stored_server, "1", name="Ann") as ann, open_ws(stored_server, "2", name="Bob") as bob:
        assert join(ann, name)["room"] == name
        assert join(bob, nfd)["room"] == nfd
        assert ann.until("user_joined")["data"] == {"user_id": 2, "name": "Bob", "room": name}

        bob.send("chat_message", "c-1", room=nfd, content="hi")
        told: dict[str, str] = {}
        while not {"ack", "new_message"} <= told.keys():  # in any order
            message = bob.message()
            told[message["type"]] = message["data"]["room"]
        assert (told["ack"], told["new_message"]) == (nfd, name)
        assert ann.until("new_message")["data"]["room"] == name
        bob.send("chat_message", "c-1", room=name, content="hi")
        repeat = bob.until("ack")["data"]
        assert (repeat["room"], repeat["duplicate"]) == (name, True)

        bob.send("typing", room=nfd, is_typing=True)
        assert ann.until("user_typing")["data"]["room"] == name
        bob.send("leave_room", room=nfd)
        assert bob.until("room_left")["data"]["room"] == nfd
        assert ann.until("user_left")["data"]["room"] == name
        bob.send("chat_message", "c-2", room=nfd, content="late")
        assert bob.until("error")["data"]["code"] == "not_in_room"


def test_a_stream_follows_a_room_by_any_spelling_and_resumes(stored_server: LiveServer, name: str) -> None:
    with open_ws(stored_server, "1") as ann:
        join(ann, name)
        for spelling in (name, decomposed(name)):
            with EventStream(stored_server.port, rooms=(spelling, name)) as stream:
                ready = stream.json("ready")
                assert list(ready["channels"]) == [quote(name, safe=""), "~me", "~all"]
                ann.send("chat_message", "", room=name, content="seen")
                event = stream.until("new_message")
            assert f'"room":"{name}"' in event.data
            assert f"room:{name}" in parse_cursor(event.id, user_channel="user:7")
            ann.send("chat_message", spelling, room=name, content="missed")
            ann.until("ack")
            with EventStream(stored_server.port, rooms=(spelling,), last_event_id=event.id) as stream:
                assert stream.json("ready")["recovered"] is True
                assert stream.json("new_message")["content"] == "missed"


def test_a_websocket_goes_on_with_the_cursor_of_a_stream(stored_server: LiveServer, name: str) -> None:
    with EventStream(stored_server.port, rooms=(name,)) as stream:
        cursor = stream.until("ready").id
    with open_ws(stored_server, "1") as ann:
        join(ann, name)
        ann.send("chat_message", "c", room=name, content="missed")
        ann.until("ack")
    path = f"/api/v1/ws?last_event_id={quote(cursor, safe='')}"
    with RawWebSocket(stored_server.port, f"{path}&token={token('7')}") as ws:
        joined = join(ws, decomposed(name))
        assert (joined["recovered"], joined["replayed"]) == (True, 1)
        assert ws.until("new_message")["data"]["content"] == "missed"


def test_http_takes_any_spelling_and_repeats_it(stored_server: LiveServer, name: str) -> None:
    nfd = decomposed(name)
    with http(stored_server) as client, open_ws(stored_server, "8") as ws:
        join(ws, nfd)
        for spelling in (name, nfd):
            sent = client.post(at(spelling, "messages"), json={"content": "x", "id": "1"})
            assert (sent.status_code, sent.json()["channel"]) == (
                201 if spelling == name else 200,
                f"room:{name}",
            )
            page = client.get(at(spelling, "messages")).json()
            assert page["room"] == spelling
            assert [message["room"] for message in page["messages"]] == [name]
            members = client.get(at(spelling, "members")).json()
            assert (members["room"], members["member_count"]) == (spelling, 1)
        parts = {"publications": [{"room": nfd, "content": "y"}, {"room": f"{nfd}?", "content": "y"}]}
        good, bad = client.post("/batch", json=parts).json()["results"]
        assert good["published"]["channel"] == f"room:{name}"
        assert (bad["status"], bad["code"]) == (400, "invalid_room")
        assert [ws.until("new_message")["data"]["content"] for _ in range(2)] == ["x", "y"]


def test_a_room_that_somebody_is_in_is_listed_by_its_name(fast: bool, store_url: str) -> None:
    with (
        live_server(fast_websockets=fast, store=store_url) as server,
        http(server) as client,
        open_ws(server, "8") as ws,
    ):
        for name in HARD_NAMES:
            join(ws, decomposed(name))
        listed = {entry["room"]: entry["member_count"] for entry in client.get("/rooms").json()["rooms"]}
        assert listed == dict.fromkeys(HARD_NAMES, 1)


RIGHTS: list[tuple[str, str, bool]] = [
    ("Cafe\u0301 *", "Café 1", True),
    ("Café *", "Cafe\u0301 1", True),
    ("Caf? 1", "Cafe\u0301 1", True),
    ("Cafe*", "Café", False),
    ("*,*", "a, b", True),
    ("100 %", "100 %", True),
    ("100 %", "100 %%", False),
    ("C# = 2", "C# = 2", True),
]


@pytest.mark.parametrize(("pattern", "room", "allowed"), RIGHTS)
def test_rights_are_matched_on_nfc(server: LiveServer, pattern: str, room: str, allowed: bool) -> None:
    grants: list[RoomGrant] = [{"match": pattern, "can": ["join", "publish"]}]
    bearer = token(rooms=grants)
    with RawWebSocket(server.port, f"/api/v1/ws?token={bearer}") as ws:
        ws.send("join_room", "j", room=room)
        ws.send("chat_message", "c", room=room, content="x")
        ws.send("ping", "end")
        replies = {}
        while "end" not in replies:
            message = ws.message()
            replies[message.get("id")] = message["type"]
        assert replies["j"] == ("room_joined" if allowed else "error")
        assert replies["c"] == ("ack" if allowed else "error")
    with EventStream(server.port, rooms=(room,), bearer=bearer) as stream:
        assert stream.status == (200 if allowed else 403)
    with http(server, bearer=bearer) as client:
        for answer in (
            client.get(at(room, "messages")),
            client.get(at(room, "members")),
            client.post(at(room, "messages"), json={"content": "x"}),
        ):
            assert (answer.status_code < 300) is allowed


def test_a_token_that_takes_a_room_away_names_it_as_it_was_joined(server: LiveServer) -> None:
    with open_ws(server) as ws:
        join(ws, "Größe 1")
        join(ws, decomposed("Größe 1"))
        ws.send("refresh", "r", token=token("7", rooms=[{"match": "other", "can": ["join"]}]))
        assert ws.until("room_left")["data"]["room"] == decomposed("Größe 1")


@pytest.mark.parametrize(
    "room",
    ["a  b", " a", "a ", "a\tb", "a\u00a0b", "a\u200bb", "a\u202eb", "\u3164", "a\x01b", "a?b", "é" * 129,
     "e\u0301" * 129],
)  # fmt: skip
def test_what_is_no_name_is_refused_everywhere(server: LiveServer, room: str) -> None:
    with open_ws(server) as ws:
        for type_, more in (
            ("join_room", {}),
            ("leave_room", {}),
            ("chat_message", {"content": "x"}),
            ("typing", {"is_typing": True}),
        ):
            ws.send(type_, "r", room=room, **more)
            assert ws.until("error")["data"]["code"] == "invalid_room"
    with EventStream(server.port, rooms=(room,)) as stream:
        assert stream.status == 400
    with http(server) as client:
        assert client.get(at(room, "messages")).status_code == 400
        assert client.post(at(room, "messages"), json={"content": "x"}).json()["code"] == "invalid_room"


@pytest.mark.parametrize("kind", ["redis_of_session", "cluster_of_session"])
def test_two_instances_are_one_room_under_every_name(
    request: pytest.FixtureRequest, kind: str, fast: bool
) -> None:
    store: RedisServer | RedisCluster = request.getfixturevalue(kind)
    url = f"{store.url}?prefix=names-{next(_runs)}"  # others use this Redis, too
    with (
        live_server(fast_websockets=fast, store=url, instance_lease_s=4) as one,
        live_server(fast_websockets=not fast, store=url, instance_lease_s=4) as two,
        open_ws(one, "1", name="Ann") as ann,
        open_ws(two, "2", name="Bob") as bob,
        http(two) as client,
    ):
        for server in (one, two):
            server.wait_until(lambda realtime: realtime.instance_count == 2)
        for name in HARD_NAMES[::2]:
            join(ann, decomposed(name))
            assert join(bob, name)["member_count"] == 2
            assert ann.until("user_joined")["data"] == {"user_id": 2, "name": "Bob", "room": name}
            ann.send("chat_message", room=decomposed(name), content=name)
            data = bob.until("new_message")["data"]
            assert (data["room"], data["content"]) == (name, name)
        listed = {entry["room"]: entry["member_count"] for entry in client.get("/rooms").json()["rooms"]}
        assert listed == dict.fromkeys(HARD_NAMES[::2], 2)
