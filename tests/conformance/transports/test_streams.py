"""Event streams: cursors, refusals, and what ends them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rtcli.protocol.position import parse_cursor
from tests.support.clients.raw_http import RawWebSocket, connect, read_response
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws, publish_event, say
from tests.support.servers.live_server import LiveServer, live_server, token

EVENTS = "/api/v1/events/stream"


@pytest.fixture
def still_serving(server: LiveServer) -> Iterator[None]:
    """After every row, the same server must still serve a good client."""
    yield
    with EventStream(server.port) as stream:
        assert stream.until("ready").id


def test_ready_comes_first_with_the_cursor_and_retry(server: LiveServer, room: str) -> None:
    with EventStream(server.port, rooms=(room,), sub="7") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert stream.headers["x-accel-buffering"] == "no"
        event = stream.event()
        assert event is not None
        assert event.event == "ready"
        data = json.loads(event.data)
        assert data["cursor"] == event.id
        assert stream.retry_ms == 3_000
        assert list(parse_cursor(event.id, user_channel="user:7")) == [f"room:{room}", "user:7", "all"]
        assert data["channels"].keys() == {room, "~me", "~all"}
        assert "recovered" not in data


def test_messages_and_events_each_with_the_whole_cursor(server: LiveServer, room: str) -> None:
    with EventStream(server.port, rooms=(room,), sub="51") as stream, open_ws(server) as ws:
        start = parse_cursor(stream.until("ready").id, user_channel="user:51")
        join(ws, room)
        say(ws, room, "a")
        publish_event(server, "user:51")
        publish_event(server, "user:52")
        say(ws, room, "b")
        publish_event(server, "all")
        seen = []
        for name in ("new_message", "news", "new_message", "news"):
            event = stream.event()
            assert event is not None
            assert event.event == name
            now = parse_cursor(event.id, user_channel="user:51")
            moved = [channel for channel in now if now[channel] != start[channel]]
            assert len(moved) == 1  # each event moves the cursor of its own channel alone
            assert now[moved[0]].offset == start[moved[0]].offset + 1
            seen.append(moved[0])
            start = now
        assert seen == [f"room:{room}", "user:51", f"room:{room}", "all"]


def test_the_header_wins_over_the_parameter(server: LiveServer) -> None:
    with EventStream(server.port) as stream:
        cursor = stream.until("ready").id
    with EventStream(server.port, last_event_id=cursor, query="&last_event_id=rubbish") as stream:
        assert stream.json("ready")["recovered"] is True


CURSORS = {
    "S4 other epoch": ("~me=zzzz-0", "epoch_changed"),
    "S4 future": ("~me={}-99", "future"),
    "S5 word": ("abc", "invalid_cursor"),
    "S5 minus one": ("-1", "invalid_cursor"),
    "S5 three parts": ("1-2-3", "invalid_cursor"),
    "S5 redis plus": ("+", "invalid_cursor"),
    "S5 redis dollar": ("$", "invalid_cursor"),
    "S5 redis range": ("~me=(1-1", "invalid_cursor"),
    "S5 hexadecimal": ("~me={}-0x10", "invalid_cursor"),
    "S5 exponent": ("~me={}-1e3", "invalid_cursor"),
    "S5 huge": ("~me={}-1000000000000000000000000000000", "invalid_cursor"),
    "S5 twice": ("~me={0}-0,~me={0}-0", "invalid_cursor"),
    "S6 10 kB": ("~me=" + "a" * 10_000, "invalid_cursor"),
    "S6 not ASCII": ("~me=é", "invalid_cursor"),
}


@pytest.mark.usefixtures("still_serving")
@pytest.mark.parametrize(("cursor", "reason"), CURSORS.values(), ids=CURSORS)
def test_a_cursor_that_is_no_good_gets_200_and_the_reason(
    server: LiveServer, cursor: str, reason: str
) -> None:
    with EventStream(server.port) as stream:
        epoch = parse_cursor(stream.until("ready").id, user_channel="user:7")["all"].epoch
    with EventStream(server.port, last_event_id=cursor.format(epoch)) as stream:
        assert stream.status == 200
        ready = stream.json("ready")
        assert ready["recovered"] is False
        assert ready["reason"] == reason
        publish_event(server, "user:7")
        assert stream.json("news") == {"n": 1}


# -- refusals ---------------------------------------------------------------------------------------------


def get(server: LiveServer, target: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
    with connect(server.port) as sock:
        lines = [f"GET {target} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode("latin-1"))
        response = read_response(sock)
        assert response is not None
        return response.status, response.headers, response.body


@pytest.mark.usefixtures("still_serving")
@pytest.mark.parametrize("header", ["X-None: 1", "Authorization: Bearer x", "Authorization: Basic eDp5"])
def test_s9_a_bad_token_stops_the_client(server: LiveServer, header: str) -> None:
    status, headers, body = get(server, EVENTS, header)
    assert status == 401
    assert headers["content-type"] == "application/problem+json"
    assert headers["www-authenticate"].startswith("Bearer")
    assert json.loads(body)["code"] == "invalid_token"


def test_s10_rooms_that_are_not_allowed_or_are_none(server: LiveServer) -> None:
    limited = f"Authorization: Bearer {token(rooms=[{'match': 'open-*', 'can': ['join']}])}"
    assert get(server, f"{EVENTS}?room=closed", limited)[0] == 403
    good = f"Authorization: Bearer {token()}"
    assert get(server, f"{EVENTS}?room=a%20%20b", good)[0] == 400
    assert get(server, f"{EVENTS}?{'&'.join(f'room=r{number}' for number in range(101))}", good)[0] == 400


def test_two_tokens_and_a_foreign_origin(server: LiveServer) -> None:
    good = f"Authorization: Bearer {token()}"
    assert get(server, f"{EVENTS}?token={token('8')}", good)[0] == 400
    assert get(server, EVENTS, good, "Origin: https://evil.example")[0] == 403


def test_cors_is_for_the_origins_of_the_list_alone(fast: bool) -> None:
    with live_server(fast_websockets=fast, origins=("https://ok.example",)) as server:
        good = f"Authorization: Bearer {token()}"
        with connect(server.port) as sock:
            request = f"GET {EVENTS} HTTP/1.1\r\nHost: a\r\n{good}\r\nOrigin: https://ok.example\r\n\r\n"
            sock.sendall(request.encode())
            response = read_response(sock)
            assert response is not None
            assert response.headers["access-control-allow-origin"] == "https://ok.example"
            assert response.headers["access-control-allow-credentials"] == "true"
            assert "origin" in response.headers["vary"].lower()
        assert get(server, EVENTS, good, "Origin: https://ok.example.evil.example")[0] == 403


def test_s8_one_stream_too_many_is_told_to_come_back(fast: bool) -> None:
    with live_server(fast_websockets=fast, user_connections=1) as server, EventStream(server.port) as first:
        first.until("ready")
        with EventStream(server.port) as second:
            assert second.status == 200
            closing = second.json("closing")
            assert closing["retry_after_ms"] == second.retry_ms
            assert second.event() is None


def test_a_full_server_ends_with_other_transports_too(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, user_connections=1) as server,
        open_ws(server),
        EventStream(server.port) as stream,
    ):
        assert stream.json("closing")["code"] == 1013


def test_a_stream_that_cannot_begin_leaves_its_client_the_cursor(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, store="redis://127.0.0.1:1") as server,  # nothing listens there
        EventStream(server.port, rooms=("r",), last_event_id="r=aaaa-1,~me=aaaa-1,~all=aaaa-1") as stream,
    ):
        closing = stream.until("closing")
        assert json.loads(closing.data)["reason"] == "unavailable"
        assert closing.id == ""  # an `id` would replace the cursor that the client resumes from
        assert stream.event() is None


# -- time -------------------------------------------------------------------------------------------------


def test_heartbeats_carry_the_cursor(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, stream_heartbeat_s=0.2) as server,
        EventStream(server.port) as stream,
    ):
        cursor = stream.until("ready").id
        beat = stream.until("heartbeat")
        assert (beat.id, beat.data) == (cursor, '{"status":"alive"}')
        publish_event(server, "user:7")
        moved = stream.until("news").id
        assert stream.until("heartbeat").id == moved


def test_the_stream_without_a_token_counts_its_heartbeats(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, stream_heartbeat_s=0.1) as server,
        EventStream(server.port, path="/api/v1/sse/stream") as stream,
    ):
        beats = [stream.until("heartbeat") for _ in range(3)]
        assert [beat.id for beat in beats] == ["1", "2", "3"]
        assert [json.loads(beat.data) for beat in beats] == [{"status": "alive", "id": n} for n in (1, 2, 3)]


def test_a_token_that_expires_ends_the_stream(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, expiry_grace_s=0.2) as server,
        EventStream(server.port, bearer=token(ttl_s=2)) as stream,
    ):
        assert stream.json("error")["code"] == "invalid_token"
        assert stream.event() is None


def test_a_stream_that_is_kicked_ends(server: LiveServer) -> None:
    with EventStream(server.port, sub="81") as stream:
        stream.until("ready")
        assert server.ask(lambda realtime: realtime.hub.kick("81")) == 1
        assert stream.event() is None


def test_a_client_that_goes_is_noticed(server: LiveServer) -> None:
    server.wait_until(lambda realtime: not realtime.hub.clients)
    with EventStream(server.port) as stream:
        stream.until("ready")
        server.wait_until(lambda realtime: len(realtime.hub.clients) == 1)
    server.wait_until(lambda realtime: not realtime.hub.clients)


def test_notifications_have_no_rooms(server: LiveServer) -> None:
    with EventStream(server.port, path="/api/v1/notifications/stream", rooms=("a",)) as stream:
        assert stream.json("ready")["channels"].keys() == {"~me", "~all"}


def test_the_websocket_client_is_not_an_http_client(server: LiveServer) -> None:
    """An upgrade on the path of a stream gives neither a stream nor a WebSocket."""
    with RawWebSocket(server.port, f"{EVENTS}?token={token()}") as ws:
        assert ws.status == 404
