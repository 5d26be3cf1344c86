"""What is published and what was missed, over WebSockets and event streams, on each log."""

from __future__ import annotations

import json

import pytest

from rtcli.protocol.position import parse_cursor, parse_position
from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws, publish_event, say
from tests.support.servers.live_server import LiveServer, live_server

pytestmark = pytest.mark.system


@pytest.fixture
def server(stored_server: LiveServer) -> LiveServer:
    return stored_server


def contents(ws: RawWebSocket, count: int) -> list[str]:
    return [ws.until("new_message")["data"]["content"] for _ in range(count)]


def test_everyone_gets_a_message_once_and_in_order(server: LiveServer, room: str) -> None:
    with open_ws(server, "1") as first, open_ws(server, "2") as second:
        join(first, room)
        join(second, room)
        for number in range(50):
            first.send("chat_message", room=room, content=str(number))
        for ws in (first, second):
            messages = [ws.until("new_message")["data"] for _ in range(50)]
            assert [message["content"] for message in messages] == [str(number) for number in range(50)]
            assert [message["offset"] for message in messages] == list(range(1, 51))
            assert {message["sender_id"] for message in messages} == {1}


def test_a_publish_is_acknowledged_and_its_repeat_is_known(server: LiveServer, room: str) -> None:
    with open_ws(server) as ws:
        join(ws, room)
        ws.send("chat_message", "c-1", room=room, content="once")
        first = ws.until("ack")
        assert first["id"] == "c-1"
        assert not first["data"]["duplicate"]
        ws.send("chat_message", "c-1", room=room, content="once")
        again = ws.until("ack")
        assert again["data"]["duplicate"]
        assert again["data"]["offset"] == first["data"]["offset"]


# -- WebSockets ------------------------------------------------------------------------------------------


def test_history_comes_after_the_reply_and_before_live(server: LiveServer, room: str) -> None:
    with open_ws(server, "1") as ann, open_ws(server, "2") as bob:
        join(ann, room)
        say(ann, room, "a", "b", "c")
        joined = join(bob, room, history=2)
        assert joined["replayed"] == 2
        assert "recovered" not in joined
        say(ann, room, "d")
        assert contents(bob, 3) == ["b", "c", "d"]


def test_a_resumed_room_gives_what_was_missed_once(server: LiveServer, room: str) -> None:
    with open_ws(server, "1") as ann:
        position = str(join(ann, room)["position"])
        say(ann, room, "a", "b")
        with open_ws(server, "2") as bob:
            joined = join(bob, room, since=position)
            assert (joined["recovered"], joined["replayed"]) == (True, 2)
            assert contents(bob, 2) == ["a", "b"]
            top = str(joined["position"])
            again = join(bob, room, since=top)
            assert (again["recovered"], again["replayed"]) == (True, 0)


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ("zzzz-0", "epoch_changed"),
        ("{}-99", "future"),
        ("rubbish", "invalid"),
        ("", "invalid"),
        ("{}-1x", "invalid"),
    ],
)
def test_a_resume_that_fails_says_why_and_goes_live(
    server: LiveServer, room: str, since: str, reason: str
) -> None:
    with open_ws(server) as ws:
        epoch, _ = parse_position(str(join(ws, room)["position"]))
        joined = join(ws, room, since=since.format(epoch))
        assert joined["recovered"] is False
        assert joined["reason"] == reason
        assert joined["replayed"] == 0
        ws.send("chat_message", room=room, content="live")
        assert contents(ws, 1) == ["live"]


def test_too_many_and_trimmed(fast: bool, room: str, store_url: str) -> None:
    with (
        live_server(fast_websockets=fast, store=store_url, max_replay=3, history_size=5) as server,
        open_ws(server, "1") as ann,
        open_ws(server, "2") as bob,
    ):
        epoch, _ = parse_position(str(join(ann, room)["position"]))
        say(ann, room, *map(str, range(8)))
        assert join(bob, room, since=f"{epoch}-4")["reason"] == "too_many"
        assert join(bob, room, since=f"{epoch}-5")["replayed"] == 3
        assert join(bob, room, since=f"{epoch}-1")["reason"] == "too_many"
    with (
        live_server(fast_websockets=fast, store=store_url, history_size=2) as server,
        open_ws(server, "1") as ann,
        open_ws(server, "2") as bob,
    ):
        epoch, _ = parse_position(str(join(ann, room)["position"]))
        say(ann, room, *map(str, range(8)))
        assert join(bob, room, since=f"{epoch}-1")["reason"] == "trimmed"


# -- event streams ---------------------------------------------------------------------------------------


def test_a_resumed_stream_gives_what_was_missed_once(server: LiveServer, room: str) -> None:
    with EventStream(server.port, rooms=(room,), sub="61") as stream, open_ws(server) as ws:
        cursor = stream.until("ready").id
        join(ws, room)
        say(ws, room, "a", "b")
        publish_event(server, "user:61")
        first = stream.until("new_message").id
    for how in ("header", "query"):
        header = first if how == "header" else None
        query = f"&last_event_id={first}" if how == "query" else ""
        with EventStream(server.port, rooms=(room,), sub="61", last_event_id=header, query=query) as stream:
            ready = stream.json("ready")
            assert ready["recovered"] is True
            assert ready["cursor"] == first  # the replay begins there
            assert json.loads(stream.until("new_message").data)["content"] == "b"
            news = stream.until("news")
            with open_ws(server) as ws:
                join(ws, room)
                say(ws, room, f"live-{how}")
            assert json.loads(stream.until("new_message").data)["content"].startswith("live-")
        with EventStream(server.port, rooms=(room,), sub="61", last_event_id=news.id) as stream:
            assert stream.json("ready")["recovered"] is True
            assert json.loads(stream.until("new_message").data)["content"].startswith("live-")
        # In the next round, there is one more message to replay.
    with EventStream(server.port, rooms=(room,), sub="61", last_event_id=cursor) as stream:
        assert stream.json("ready")["recovered"] is True
        replay = [json.loads(stream.until("new_message").data)["content"] for _ in range(4)]
        assert replay == ["a", "b", "live-header", "live-query"]


def test_s3_trimmed_and_too_many(fast: bool, store_url: str) -> None:
    for settings, reason in (({"history_size": 2}, "trimmed"), ({"max_replay": 2}, "too_many")):
        with live_server(fast_websockets=fast, store=store_url, **settings) as server:
            with EventStream(server.port) as stream:
                cursor = stream.until("ready").id
            for _ in range(5):
                publish_event(server, "all")
            with EventStream(server.port, last_event_id=cursor) as stream:
                ready = stream.json("ready")
                assert ready["recovered"] is False
                assert ready["channels"]["~all"] == {
                    "position": ready["channels"]["~all"]["position"],
                    "recovered": False,
                    "reason": reason,
                }
                assert ready["channels"]["~me"]["recovered"] is True


def test_a_position_of_one_transport_is_good_on_the_other(server: LiveServer, room: str) -> None:
    with open_ws(server, "71") as ws:
        position = str(join(ws, room)["position"])
        say(ws, room, "a", "b", "c")
        after_first = f"{parse_position(position).epoch}-1"
        with EventStream(server.port, rooms=(room,), last_event_id=f"{room}={after_first}") as stream:
            assert stream.json("ready")["channels"][room]["recovered"] is True
            assert json.loads(stream.until("new_message").data)["content"] == "b"
            at = parse_cursor(stream.until("new_message").id, user_channel="user:7")[f"room:{room}"]
            say(ws, room, "d")
        with open_ws(server, "72") as other:
            assert join(other, room, since=str(at))["replayed"] == 1
            assert other.until("new_message")["data"]["content"] == "d"


def test_many_events_at_once_arrive_once_and_in_order(server: LiveServer, room: str) -> None:
    with EventStream(server.port, rooms=(room,)) as stream, open_ws(server) as ws:
        stream.until("ready")
        join(ws, room)
        for number in range(150):  # fewer than the rate limit allows as a burst
            ws.send("chat_message", room=room, content=str(number))
        offsets = [json.loads(stream.until("new_message").data)["offset"] for _ in range(150)]
    assert offsets == list(range(1, 151))


def test_a_cursor_of_other_rooms_is_no_reason_to_lose_anything(server: LiveServer, room: str) -> None:
    """A client may follow other rooms when it reconnects; a new room begins at its top."""
    with open_ws(server) as ws, EventStream(server.port, rooms=(room,)) as stream:
        cursor = stream.until("ready").id
        join(ws, room)
        say(ws, room, "a")
        with EventStream(server.port, rooms=(room, "another"), last_event_id=cursor) as wider:
            channels = wider.json("ready")["channels"]
            assert "recovered" not in channels["another"]
            assert channels[room]["recovered"] is True
            assert json.loads(wider.until("new_message").data)["content"] == "a"
        with EventStream(server.port, rooms=("another",), last_event_id=cursor) as narrower:
            assert narrower.json("ready")["recovered"] is True
