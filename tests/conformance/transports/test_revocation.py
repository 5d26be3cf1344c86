"""What clients see of revoked tokens and of kicks that say "stay away", over both WebSocket transports.

What the log has to do with runs on each; the rest is decided by the list in memory, on every log alike.
"""

from __future__ import annotations

import itertools
import json
import time
from urllib.parse import quote

import httpx

from tests.support.clients.raw_http import RawWebSocket, connect, read_response
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import open_ws
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.waiting import wait_until

STREAM = "/api/v1/events/stream"
_numbers = itertools.count(5_000)


def new_user() -> str:
    """A user whom no other test knows."""
    return str(next(_numbers))


def admin(server: LiveServer, method: str, path: str, **body: str) -> httpx.Response:
    """Ask as an administrator."""
    headers = {"Authorization": f"Bearer {token('root', scope='admin')}"}
    return httpx.request(method, server.url + path, headers=headers, json=body or None, trust_env=False)


def revoke(server: LiveServer, **body: str) -> None:
    """Revoke a token or a user's tokens."""
    assert admin(server, "POST", "/api/v1/revocations", **body).status_code == 201


def kick(server: LiveServer, user: str, stay_away_s: float) -> int:
    """Kick a user for some time; give the number of connections that were closed."""
    answer = admin(server, "DELETE", f"/api/v1/users/{user}/connections?stay_away_s={stay_away_s}")
    closed: int = answer.json()["closed"]
    return closed


def attempt(server: LiveServer, bearer: str) -> tuple[int | None, str]:
    """Open a WebSocket: the code and the reason with which it is closed, or (None, type of the greeting)."""
    with RawWebSocket(server.port, f"/api/v1/ws?token={bearer}") as ws:
        assert ws.status == 101
        frame = ws.frame()
        assert frame is not None
        if frame.code is None or frame.opcode != 8:
            return None, str(json.loads(frame.payload)["type"])
        return frame.code, frame.reason


def status(
    server: LiveServer, bearer: str, path: str = STREAM, *, method: str = "GET", header: str = "X: y"
) -> int:
    """The status of a request."""
    with connect(server.port) as sock:
        lines = (f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", header, "", "")
        sock.sendall("\r\n".join([lines[0], f"Authorization: Bearer {bearer}", *lines[1:]]).encode())
        response = read_response(sock)
        assert response is not None
        return response.status


def assert_closed(ws: RawWebSocket, reason: str) -> None:
    """It is closed with 4500 and this reason, and no `closing` says when to come back."""
    while True:
        frame = ws.frame()
        assert frame is not None, "the connection ended without a close frame"
        if frame.opcode == 8:
            assert (frame.code, frame.reason) == (4500, reason)
            return
        assert json.loads(frame.payload)["type"] != "closing"


def test_what_a_revoked_token_has_opened_ends_and_nothing_else(stored_server: LiveServer) -> None:
    user = new_user()
    revoked, other = token(user, token_id=f"{user}-a"), token(user, token_id=f"{user}-b")
    path = "/api/v1/ws?token="
    with (
        RawWebSocket(stored_server.port, path + revoked) as ends,
        RawWebSocket(stored_server.port, path + other) as stays,
        EventStream(stored_server.port, bearer=revoked) as ending,
        EventStream(stored_server.port, bearer=other) as staying,
    ):
        for ws in (ends, stays):
            assert ws.message()["type"] == "pong"
        ending.until("ready")
        staying.until("ready")
        revoke(stored_server, jti=f"{user}-a")
        assert_closed(ends, "revoked")
        assert ending.event() is None, "no closing: it shall not come back"
        assert attempt(stored_server, revoked) == (1008, "invalid_token: Invalid or expired token")
        assert status(stored_server, revoked) == 401
        assert status(stored_server, revoked, "/api/v1/rooms") == 401
        stays.send("ping")
        assert stays.until("pong")
        assert attempt(stored_server, other) == (None, "pong")
        admin(stored_server, "POST", f"/api/v1/users/{user}/events", event="news")
        staying.until("news")


def test_what_a_user_got_before_a_time_and_what_it_gets_later(server: LiveServer) -> None:
    user = new_user()
    old = token(user)
    with open_ws(server, user) as ws, EventStream(server.port, bearer=old) as stream:
        stream.until("ready")
        revoke(server, user=user)
        assert_closed(ws, "revoked")
        assert stream.event() is None
    assert attempt(server, old)[0] == 1008
    time.sleep(1.1)  # `iat` is in whole seconds
    assert attempt(server, token(user)) == (None, "pong")
    assert attempt(server, old)[0] == 1008


def test_a_token_that_was_issued_later_than_that_stays(server: LiveServer) -> None:
    user = new_user()
    bearer = token(user)
    with open_ws(server, user) as ws:
        revoke(server, user=user, issued_before="2020-01-01T00:00:00Z")
        time.sleep(0.6)  # longer than until those are closed whom it is about
        ws.send("ping")
        assert ws.until("pong")
    assert attempt(server, bearer) == (None, "pong")


def test_nobody_gets_on_with_a_revoked_token(server: LiveServer) -> None:
    """As a refresh, of a WebSocket or of a stream: these go on with the token that they have."""
    user = new_user()
    revoked = token(user, token_id=f"{user}-r")
    revoke(server, jti=f"{user}-r")
    with open_ws(server, user) as ws, EventStream(server.port, sub=user) as stream:
        connection = stream.json("ready")["connection_id"]
        ws.send("refresh", "r", token=revoked)
        error = ws.until("error")
        assert (error["id"], error["data"]["code"]) == ("r", "invalid_token")
        path = f"/api/v1/streams/{connection}/refresh"
        assert status(server, revoked, path, method="POST", header="Content-Length: 0") == 401
        ws.send("refresh", token=token(user))
        assert ws.until("refreshed")


def test_a_refreshed_connection_has_the_newer_token(server: LiveServer) -> None:
    """What counts is the token that a connection has now, not the one with which it was opened."""
    user = new_user()
    first, second = (token(user, token_id=f"{user}-{name}") for name in "xy")
    with RawWebSocket(server.port, f"/api/v1/ws?token={first}") as ws:
        ws.send("refresh", token=second)
        assert ws.until("refreshed")
        revoke(server, jti=f"{user}-x")
        time.sleep(0.6)
        ws.send("ping")
        assert ws.until("pong")
        revoke(server, jti=f"{user}-y")
        assert_closed(ws, "revoked")


def test_a_kick_keeps_a_user_away_whatever_the_token(stored_server: LiveServer) -> None:
    user = new_user()
    with open_ws(stored_server, user) as ws, EventStream(stored_server.port, sub=user) as stream:
        cursor = stream.until("ready").id
        assert kick(stored_server, user, 600) == 2
        assert_closed(ws, "kicked")
        assert stream.event() is None
    away = token(user)
    assert attempt(stored_server, away) == (4500, "forbidden: Kicked: stay away")
    assert status(stored_server, away) == 403
    assert status(stored_server, away, method="HEAD") == 403
    assert status(stored_server, away, "/api/v1/rooms") == 403
    by_parameter = f"{STREAM}?last_event_id={quote(cursor, safe='')}"
    assert status(stored_server, away, header=f"Last-Event-ID: {cursor}") == 204
    assert status(stored_server, away, by_parameter) == 204
    assert status(stored_server, away, by_parameter, method="HEAD") == 204
    assert attempt(stored_server, token(new_user())) == (None, "pong")


def test_who_had_to_stay_away_for_a_while_comes_in_again(server: LiveServer) -> None:
    user = new_user()
    with open_ws(server, user) as ws:
        kick(server, user, 1)
        assert_closed(ws, "kicked")
    wait_until(
        lambda: attempt(server, token(user)) == (None, "pong"),
        "it is kept away for longer than it was told",
        timeout_s=10,
    )
    with EventStream(server.port, sub=user) as stream:
        stream.until("ready")


def test_a_shorter_kick_does_not_shorten_the_first(server: LiveServer) -> None:
    user = new_user()
    kick(server, user, 600)
    kick(server, user, 0.1)
    kick(server, user, 0)
    time.sleep(0.2)
    assert attempt(server, token(user))[0] == 4500


def test_before_the_list_is_read_every_client_is_told_to_come_back(fast: bool) -> None:
    with live_server(fast_websockets=fast) as server:
        server.ask(lambda realtime: setattr(realtime._revoked, "known", False))
        with RawWebSocket(server.port, f"/api/v1/ws?token={token()}") as ws:
            closing = ws.message()
            assert closing["type"] == "closing"
            assert closing["data"]["code"] == 1013
            assert closing["data"]["retry_after_ms"] > 0
            frame = ws.close_frame()
            assert frame is not None
            assert (frame.code, frame.reason) == (1013, "unavailable: This token cannot be checked yet")
        with EventStream(server.port) as stream:
            assert stream.status == 200
            assert stream.json("closing")["code"] == 1013
            assert stream.event() is None
        answer = httpx.get(
            f"{server.url}/api/v1/rooms", headers={"Authorization": f"Bearer {token()}"}, trust_env=False
        )
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["code"] == "unavailable"
        assert attempt(server, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")[0] == 1008, "a bad one is bad anyway"
        assert httpx.get(f"{server.url}/readyz", trust_env=False).status_code == 503
        server.ask(lambda realtime: setattr(realtime._revoked, "known", True))
        assert attempt(server, token()) == (None, "pong")
