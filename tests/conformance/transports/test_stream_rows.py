"""Rows S1 to S13 of bad input for event streams, without those in test_streams.py and test_slow.py.

After each row, the same server must still serve a good client.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from rtcli.protocol.position import Position, format_cursor, parse_cursor
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.raw_http import Response, connect, read_response
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import join, open_ws, publish_event, say
from tests.support.servers.live_server import LiveServer, live_server, token

EVENTS = "/api/v1/events/stream"
HEARTBEATS = "/api/v1/sse/stream"
OK_ORIGIN = "https://ok.example"


@pytest.fixture(autouse=True)
def still_serving(server: LiveServer) -> Iterator[None]:
    """After every row, the same server must still serve a good client."""
    yield
    with EventStream(server.port) as stream:
        assert stream.until("ready").id


@pytest.fixture(scope="module")
def strict() -> Iterator[LiveServer]:
    """A server with an allow-list of origins, in the spellings that people use."""
    with live_server(origins=("https://OK.example:443",)) as server:
        yield server


def ask(
    server: LiveServer, target: str, *headers: str, method: str = "GET", auth: str | None = None
) -> Response:
    """Send one request with a good token (or `auth` instead, "" for none). Returns the head of its answer."""
    bearer = f"Authorization: Bearer {token()}" if auth is None else auth
    with connect(server.port) as sock:
        lines = [f"{method} {target} HTTP/1.1", "Host: a", *([bearer] if bearer else []), *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode("latin-1"))
        response = read_response(sock)
        assert response is not None
        return response


# -- cursors ----------------------------------------------------------------------------------------------


def test_s1_no_cursor_or_an_empty_one_is_live_from_now_with_an_id(server: LiveServer) -> None:
    publish_event(server, "user:7")
    for header in (None, ""):
        with EventStream(server.port, last_event_id=header, query="&last_event_id=") as stream:
            event = stream.until("ready")
            assert "recovered" not in json.loads(event.data)
            assert event.id
            publish_event(server, "user:7")
            news = stream.event()
            assert news is not None
            at, then = (parse_cursor(x.id, user_channel="user:7")["user:7"] for x in (event, news))
            assert then == at._replace(offset=at.offset + 1)


MORE_CURSORS = {
    "S5 dash": "-",
    "S5 space before": "%20~me={}-0",
    "S5 space after": "~me={}-0%20",
    "S5 leading zero": "~me={}-00",
    "S5 over 64 bits": "~me={}-9223372036854775808",
    "S5 empty part": "~me={}-0,",
    "S6 line end": "~me={}-0%0Aevent:%20x",
    "S6 NUL": "~me={}-0%00",
    "S6 invalid UTF-8": "~me=%ff%fe-0",
}


@pytest.mark.parametrize("cursor", MORE_CURSORS.values(), ids=MORE_CURSORS)
def test_s5_s6_more_cursors_that_cannot_be_read(server: LiveServer, cursor: str) -> None:
    with EventStream(server.port) as stream:
        epoch = parse_cursor(stream.until("ready").id, user_channel="user:7")["all"].epoch
    query = f"&last_event_id={cursor.format(epoch)}"
    with EventStream(server.port, query=query) as stream:
        ready = stream.json("ready")
        assert (ready["recovered"], ready["reason"]) == (False, "invalid_cursor")


@pytest.mark.parametrize("value", ["~me=\xff\xfe-1", "~me=aaaa-1\r\nLast-Event-ID: ~all=aaaa-1"])
def test_s6_bytes_in_the_header_and_two_headers(server: LiveServer, value: str) -> None:
    with EventStream(server.port, last_event_id=value) as stream:
        assert stream.status == 200
        assert stream.json("ready")["reason"] == "invalid_cursor"


# -- what is asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("text/event-stream", 200),
        ("application/json, text/*;q=0.3", 200),
        ("application/json", 406),
        ("text/event-stream;q=0, */*", 406),
    ],
)
@pytest.mark.parametrize("path", [EVENTS, HEARTBEATS])
def test_s7_accept(server: LiveServer, path: str, accept: str | None, status: int) -> None:
    response = ask(server, path, *([f"Accept: {accept}"] if accept else []))
    assert response.status == status
    if status == 406:
        assert json.loads(response.body)["code"] == "not_acceptable"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_other_methods(server: LiveServer, method: str) -> None:
    response = ask(server, EVENTS, "Content-Length: 0", method=method)
    assert response.status == 405
    assert "GET" in response.headers["allow"]


def test_head_has_the_headers_ends_and_holds_nothing(server: LiveServer) -> None:
    for path in (EVENTS, HEARTBEATS):
        with connect(server.port) as sock:
            request = f"HEAD {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\n\r\n"
            sock.sendall(request.encode())
            response = read_response(sock)
            assert response is not None
            assert response.status == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            after = read_response(sock)  # it follows at once: the answer to HEAD had no body
            assert after is not None
            assert after.status == 200
    assert ask(server, EVENTS, "Connection: close", method="HEAD", auth="").status == 401


def test_s10_a_stream_that_could_not_be_resumed_is_refused_at_once(server: LiveServer) -> None:
    short = [f"r{number}" for number in range(100)]
    with EventStream(server.port, rooms=tuple(short)) as stream:
        cursor = stream.until("ready").id
    with EventStream(server.port, rooms=tuple(short), last_event_id=cursor) as stream:
        assert stream.json("ready")["recovered"] is True
    long = [f"{number:0128}" for number in range(60)]
    response = ask(server, f"{EVENTS}?{'&'.join(f'room={name}' for name in long)}")
    assert response.status == 400
    assert json.loads(response.body)["code"] == "too_many_rooms"


def test_the_longest_stream_comes_back_with_its_longest_cursor(server: LiveServer) -> None:
    """A stream that was accepted can be resumed: no 400 or 431 stops the browser for good."""
    rooms: list[str] = []
    for number in range(100):
        rooms.append(f"{number:0128}")
        target = f"{EVENTS}?{'&'.join(f'room={name}' for name in rooms)}"
        if ask(server, target).status == 400:
            rooms.pop()
            break
    assert 40 < len(rooms) < 60
    channels = [*(f"room:{name}" for name in rooms), "user:7", "all"]
    worst = format_cursor([(name, Position("z" * 16, 2**63 - 1)) for name in channels])
    with EventStream(server.port, rooms=tuple(rooms), last_event_id=worst) as stream:
        assert stream.status == 200
        assert stream.json("ready")["reason"] == "epoch_changed"


# -- tokens and origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [EVENTS, "/api/v1/notifications/stream"])
def test_the_token_by_header_query_and_cookie(strict: LiveServer, path: str) -> None:
    good = token()
    cookie = f"Cookie: a=b; rt_token={good}"
    assert ask(strict, path, auth=f"Authorization: Bearer {good}").status == 200
    assert ask(strict, f"{path}?token={good}", auth="").status == 200
    assert ask(strict, path, cookie, f"Origin: {OK_ORIGIN}", auth="").status == 200
    assert ask(strict, path, cookie, "Sec-Fetch-Site: same-origin", auth="").status == 200
    assert ask(strict, path, cookie, auth="").status == 401
    assert ask(strict, path, cookie, "Sec-Fetch-Site: same-site", auth="").status == 401
    assert ask(strict, path, cookie, "Sec-Fetch-Site: cross-site", auth="").status == 401
    assert ask(strict, path, cookie, "Origin: https://evil.example", auth="").status == 403
    other = f"Cookie: rt_token={token('8')}"
    for outright, status in ((good, 200), ("rubbish", 401), ("", 401)):  # the cookie does not step in
        assert (
            ask(strict, path, other, f"Origin: {OK_ORIGIN}", auth=f"Authorization: Bearer {outright}").status
            == status
        )
        assert (
            ask(strict, f"{path}?token={outright}", other, f"Origin: {OK_ORIGIN}", auth="").status == status
        )
    assert ask(strict, path, cookie, other, f"Origin: {OK_ORIGIN}", auth="").status == 400  # two that differ
    assert ask(strict, path, cookie, cookie, f"Origin: {OK_ORIGIN}", auth="").status == 200


def test_s9_a_token_that_has_expired_is_401_on_every_way(server: LiveServer) -> None:
    expired = token(ttl_s=-60)
    for path in (EVENTS, "/api/v1/notifications/stream"):
        assert ask(server, path, auth=f"Authorization: Bearer {expired}").status == 401
        assert ask(server, f"{path}?token={expired}", auth="").status == 401
        assert ask(server, path, auth="").status == 401


@pytest.mark.parametrize("origin", [OK_ORIGIN, "https://OK.Example", "https://ok.example:443"])
def test_an_allowed_page_may_ask_and_read(strict: LiveServer, origin: str) -> None:
    asked = ("Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
    preflight = ask(strict, EVENTS, f"Origin: {origin}", *asked, method="OPTIONS", auth="")
    assert preflight.status == 204
    assert "last-event-id" in preflight.headers["access-control-allow-headers"].lower()
    for response in (
        preflight,
        ask(strict, EVENTS, f"Origin: {origin}"),
        ask(strict, EVENTS, f"Origin: {origin}", auth=""),  # so that the page can read the 401
        ask(strict, HEARTBEATS, f"Origin: {origin}", auth=""),
    ):
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["access-control-allow-credentials"] == "true"
        assert "origin" in response.headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example", "https://ok.example.evil.example", "null", "*"])
def test_a_page_that_is_not_allowed_may_not(strict: LiveServer, origin: str) -> None:
    asked = "Access-Control-Request-Method: GET"
    preflight = ask(strict, EVENTS, f"Origin: {origin}", asked, method="OPTIONS", auth="")
    for response in (preflight, ask(strict, EVENTS, f"Origin: {origin}")):
        assert response.status == 403
        assert "access-control-allow-origin" not in response.headers


# -- limits, and the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (EVENTS, "user_connections"),
        (EVENTS, "address_connections"),
        (EVENTS, "node_connections"),
        (HEARTBEATS, "address_connections"),
        (HEARTBEATS, "node_connections"),
    ],
)
def test_s8_no_limit_puts_a_browser_to_sleep(fast: bool, limit: str, path: str) -> None:
    with live_server(fast_websockets=fast, **{limit: 1}) as server, EventStream(server.port, path=path):
        server.wait_until(lambda realtime: len(realtime.hub.clients) == 1)
        delays = set()
        for _ in range(3):
            with EventStream(server.port, path=path) as second:
                assert second.status == 200
                assert second.headers["content-type"].startswith("text/event-stream")
                closing = second.json("closing")
                assert closing["code"] == 1013
                assert closing["retry_after_ms"] == second.retry_ms
                assert second.event() is None
                delays.add(second.retry_ms)
        assert len(delays) > 1  # each client has its own delay


def test_a_draining_server_sends_browsers_away_until_later(fast: bool) -> None:
    def drain(realtime: RealtimeServer) -> None:
        realtime.hub.start_draining()

    with live_server(fast_websockets=fast) as server:
        server.ask(drain)
        for path in (EVENTS, HEARTBEATS):
            with EventStream(server.port, path=path) as stream:
                assert stream.status == 200
                assert stream.json("closing")["retry_after_ms"] == stream.retry_ms
                assert stream.event() is None


def test_who_was_kicked_is_told_to_stay_away_and_may_come_anew(server: LiveServer) -> None:
    with EventStream(server.port, sub="801") as stream:
        cursor = stream.until("ready").id
        assert server.ask(lambda realtime: realtime.hub.kick("801")) == 1
        assert stream.event() is None
    kicked = f"Authorization: Bearer {token('801')}"
    by_parameter = f"?last_event_id={quote(cursor, safe='')}"
    for path in (EVENTS, "/api/v1/notifications/stream"):
        for target, header in ((path, f"Last-Event-ID: {cursor}"), (path + by_parameter, "Last-Event-ID:")):
            for method in ("GET", "HEAD"):
                response = ask(server, target, header, auth=kicked, method=method)
                assert (response.status, response.body) == (204, b"")  # WHATWG 9.2.3: it does not come back
            assert ask(server, target, header).status == 200  # another user
        response = ask(server, f"{path}?last_event_id=", "Last-Event-ID:", auth=kicked, method="HEAD")
        assert response.status == 200, "an empty id is none"
    with EventStream(server.port, sub="801") as stream:
        assert stream.until("ready").id


def test_a_refresh_lets_a_running_stream_go_on(fast: bool) -> None:
    with (
        live_server(fast_websockets=fast, expiry_grace_s=0.2) as server,
        EventStream(server.port, bearer=token(ttl_s=2)) as stream,
    ):
        connection = stream.json("ready")["connection_id"]
        path = f"/api/v1/streams/{connection}/refresh"
        renewed = ask(server, path, "Content-Length: 0", method="POST")
        assert renewed.status == 200
        time.sleep(2.5)  # the lifetime of the first token and the grace: nothing must happen in that time
        publish_event(server, "user:7")
        assert stream.json("news") == {"n": 1}


def test_rights_of_now_decide_what_is_replayed(server: LiveServer, room: str) -> None:
    """A room that the new token does not allow is not replayed, on either transport."""
    with EventStream(server.port, rooms=(room,), sub="91") as stream, open_ws(server, "92") as writer:
        cursor = stream.until("ready").id
        position = join(writer, room)["position"]
        say(writer, room, "secret")
    less = token("91", rooms=[{"match": "elsewhere", "can": ["join"]}])
    response = ask(
        server, f"{EVENTS}?room={room}", f"Last-Event-ID: {cursor}", auth=f"Authorization: Bearer {less}"
    )
    assert response.status == 403
    assert b"secret" not in response.body
    with EventStream(server.port, bearer=less, last_event_id=cursor) as stream:
        assert stream.json("ready")["channels"].keys() == {"~me", "~all"}
        publish_event(server, "user:91")
        event = stream.event()
        assert event is not None
        assert event.event == "news"  # nothing of the room came before it
    with open_ws(server, "91") as ws:
        join(ws, room)
        ws.send("refresh", "r", token=less)
        ws.until("room_left")
        ws.send("join_room", "j", room=room, since=position, history=10)
        refused = ws.until("error")
        assert (refused["data"]["code"], refused["id"]) == ("forbidden", "j")
        ws.send("ping", "end")
        assert ws.message()["id"] == "end"


# -- bad readers ------------------------------------------------------------------------------------------


def nobody_is_left(server: LiveServer, user: str) -> None:
    server.wait_until(lambda realtime: not realtime.hub.of_user(user))


def test_s11_half_close_ends_the_stream(server: LiveServer) -> None:
    with EventStream(server.port, sub="111") as stream:
        stream.until("ready")
        stream.sock.shutdown(socket.SHUT_WR)
        nobody_is_left(server, "111")


def test_s11_disconnecting_during_the_replay_leaves_nothing(server: LiveServer, room: str) -> None:
    with open_ws(server) as ws, EventStream(server.port, rooms=(room,)) as stream:
        cursor = stream.until("ready").id
        join(ws, room)
        say(ws, room, *map(str, range(100)))
    server.wait_until(lambda realtime: not realtime.hub.clients)
    for _ in range(30):
        with connect(server.port) as sock:
            lines = [
                f"GET {EVENTS}?room={room} HTTP/1.1",
                "Host: a",
                f"Authorization: Bearer {token()}",
                f"Last-Event-ID: {quote(cursor, safe='=,~-')}",
                "",
                "",
            ]
            sock.sendall("\r\n".join(lines).encode())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST
    server.wait_until(lambda realtime: not realtime.hub.clients)
    server.wait_until(lambda realtime: not realtime.fanout._channels)
    assert server.ask(lambda realtime: len(realtime.tasks)) == 0


def test_s11_one_who_reads_a_byte_at_a_time_gets_the_same(server: LiveServer, room: str) -> None:
    with EventStream(server.port, rooms=(room,)) as stream, open_ws(server) as ws:
        stream.until("ready")
        join(ws, room)
        say(ws, room, "a", "b")
        read = stream.sock.recv
        data = b"".join(read(1) for _ in range(200))
        assert data.count(b"event: new_message") >= 1


# -- what publishers put in -------------------------------------------------------------------------------

AWKWARD = {
    "CR LF": "a\rb\nc\r\nd",
    "an event in it": "x\n\nevent: injected\ndata: {}\n\n",
    "an id in it": "\nid: 9\n",
    "a leading space": "  two",
    "a colon": ": comment",
    "separators": "\u2028\u2029\x85",
    "emoji": "👩‍👩‍👧",
    "long": "é" * 10_000,
}


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_s12_content_comes_through_as_it_was(server: LiveServer, room: str, text: str) -> None:
    with EventStream(server.port, rooms=(room,)) as stream, open_ws(server) as ws:
        stream.until("ready")
        join(ws, room)
        ws.send("chat_message", "awkward", room=room, content=text)
        ws.until("ack")
        event = stream.event()
        assert event is not None
        assert event.event == "new_message"
        assert json.loads(event.data)["content"] == text
        say(ws, room, "next")
        after = stream.event()
        assert after is not None
        assert json.loads(after.data)["content"] == "next"  # no event came in between
