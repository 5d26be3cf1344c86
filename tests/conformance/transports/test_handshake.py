"""Opening a connection: the rows H1-H24 of the bad-input tables, on both WebSocket transports."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time

import pytest

from rtcli.protocol.position import Position
from tests.support.clients.raw_http import (
    ACCEPT,
    CLOSE,
    TEXT,
    RawWebSocket,
    Response,
    connect,
    encode,
    handshake_bytes,
    read_all,
    read_response,
)
from tests.support.clients.rooms import join, open_ws
from tests.support.servers.live_server import LiveServer, live_server, token

WS = "/api/v1/ws"
Replace = dict[str, "str | list[str] | None"]


@pytest.fixture(autouse=True)
def still_serving(server: LiveServer) -> object:
    """After every row, the same server must still serve a good client."""
    yield
    with open_ws(server) as ws:
        assert join(ws, "after")["room"] == "after"


def answer_to(server: LiveServer, data: bytes) -> Response | None:
    """Send bytes on a new connection and return the answer, after which the server must close."""
    with connect(server.port) as sock:
        with contextlib.suppress(ConnectionError):  # the server has answered and closed
            sock.sendall(data)
        response = read_response(sock)
        if response is not None and response.status != 101:
            read_all(sock)
        return response


def good_path() -> str:
    return f"{WS}?token={token()}"


def test_a_good_handshake(server: LiveServer) -> None:
    response = answer_to(server, handshake_bytes(good_path()))
    assert response is not None
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == ACCEPT
    assert response.headers["upgrade"].lower() == "websocket"
    assert response.headers["connection"].lower() == "upgrade"
    assert "sec-websocket-extensions" not in response.headers
    assert "sec-websocket-protocol" not in response.headers


BAD_HANDSHAKES: dict[str, tuple[int, Replace]] = {
    "H1 version 8": (426, {"Sec-WebSocket-Version": "8"}),
    "H1 version 14": (426, {"Sec-WebSocket-Version": "14"}),
    "H1 no version": (426, {"Sec-WebSocket-Version": None}),
    "H1 two versions": (426, {"Sec-WebSocket-Version": ["13", "8"]}),
    "H2 no key": (400, {"Sec-WebSocket-Key": None}),
    "H2 short key": (400, {"Sec-WebSocket-Key": "short"}),
    "H2 empty key": (400, {"Sec-WebSocket-Key": ""}),
    "H2 key of 15 bytes": (400, {"Sec-WebSocket-Key": base64.b64encode(b"x" * 15).decode()}),
    "H2 key with a comma": (400, {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==, x"}),
    "H2 two keys": (400, {"Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="]}),
    "H4 no Host": (400, {"Host": None}),
    "H4 two Hosts": (400, {"Host": ["a", "b"]}),
    "H12 foreign origin": (403, {"Origin": "https://evil.example"}),
    "H12 null": (403, {"Origin": "null"}),
    "H12 empty": (403, {"Origin": ""}),
    "H12 another port": (403, {"Origin": "http://127.0.0.1:1"}),
    "H12 a host that begins like ours": (403, {"Origin": "http://127.0.0.1.evil.example"}),
    "H15 token without its protocol": (400, {"Sec-WebSocket-Protocol": "bearer.abc"}),
    "H15 empty items": (400, {"Sec-WebSocket-Protocol": "rt.v1,,bearer.abc"}),
    "H15 1 000 entries": (400, {"Sec-WebSocket-Protocol": ",".join(["rt.v1"] * 1_000)}),
    "H15 not ASCII": (400, {"Sec-WebSocket-Protocol": "rt.v1, bearer.\xe9"}),
}


@pytest.mark.parametrize(("status", "replace"), BAD_HANDSHAKES.values(), ids=BAD_HANDSHAKES)
def test_bad_handshakes(server: LiveServer, status: int, replace: Replace) -> None:
    response = answer_to(server, handshake_bytes(WS, replace=replace))
    assert response is not None
    assert response.status == status, response
    if response.headers["content-type"] == "application/problem+json":  # uvicorn's own have another
        problem = json.loads(response.body)
        assert problem["status"] == status
        assert problem["code"]
    if status == 426:
        assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize(("method", "status"), [("POST", 405), ("PUT", 405), ("OPTIONS", 405), ("HEAD", 426)])
def test_h3_another_method(server: LiveServer, method: str, status: int) -> None:
    """RFC 9110, section 7.8: a server may ignore an Upgrade. What is left is a request to this path."""
    replace: Replace = {"Connection": "upgrade, close"}
    response = answer_to(server, handshake_bytes(good_path(), method=method, replace=replace))
    assert response is not None
    assert response.status == status
    if status == 405:
        assert response.headers["allow"] == "GET, HEAD"


VERSIONS = {
    "HTTP/1.0": 426,
    "HTTP/0.9": 400,
    "HTTP/2.0": 505,
    "HTTP/3.1": 505,
    "HTTP/11.1": 400,
    "http/1.1": 400,
}


@pytest.mark.parametrize(("version", "status"), VERSIONS.items())
def test_h4_another_http_version(server: LiveServer, version: str, status: int) -> None:
    response = answer_to(server, handshake_bytes(good_path(), version=version))
    assert response is not None
    assert response.status == status


def test_h4_a_higher_minor_version(server: LiveServer) -> None:
    """RFC 9110, section 2.5: it is read as HTTP/1.1."""
    response = answer_to(server, handshake_bytes(good_path(), version="HTTP/1.9"))
    assert response is not None
    assert response.status == 101


def test_the_absolute_form_of_a_request(server: LiveServer) -> None:
    """RFC 9112, section 3.2.2."""
    response = answer_to(server, handshake_bytes(f"http://127.0.0.1:{server.port}{good_path()}"))
    assert response is not None
    assert response.status == 101


@pytest.mark.parametrize("size", [20_000, 70_000, 300_000])
def test_h5_a_long_request_line(server: LiveServer, size: int) -> None:
    response = answer_to(server, handshake_bytes(f"{WS}?token={'x' * size}"))
    assert response is not None
    assert response.status == 414


def test_h5_a_request_line_within_the_limit(server: LiveServer) -> None:
    """A request line of 8 300 bytes gets an answer: the token in it is too long, and the server says so."""
    with RawWebSocket(server.port, f"{WS}?token={'x' * 8_300}") as ws:
        assert ws.status == 101
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1008


@pytest.mark.parametrize("count", [101, 200, 5_000])
def test_h6_many_headers(server: LiveServer, count: int) -> None:
    replace: Replace = {f"X-{number}": "1" for number in range(count)}
    response = answer_to(server, handshake_bytes(good_path(), replace=replace))
    assert response is not None
    assert response.status == 431


@pytest.mark.parametrize("size", [17_000, 70_000])
def test_h6_a_long_header(server: LiveServer, size: int) -> None:
    response = answer_to(server, handshake_bytes(good_path(), replace={"Cookie": "x" * size}))
    assert response is not None
    assert response.status == 431


def test_h6_a_header_of_9000_bytes_is_taken(server: LiveServer) -> None:
    response = answer_to(server, handshake_bytes(good_path(), replace={"X-Long": "x" * 9_000}))
    assert response is not None
    assert response.status == 101


@pytest.mark.parametrize(
    ("start", "status"),
    [(b"GET /" + b"x" * 100, 414), (b"GET / HTTP/1.1\r\nX: ", 431), (b"GET / HTTP/1.1\r\n", 431)],
    ids=["url", "header", "headers"],
)
def test_h7_requests_that_never_end(server: LiveServer, start: bytes, status: int) -> None:
    more = b"X-A: b\r\n" * 100 if start.endswith(b"\r\n") else b"x" * 1_000
    with connect(server.port) as sock:
        sock.sendall(start)
        for _ in range(20_000):
            try:
                sock.sendall(more)
            except ConnectionError:
                break
        else:
            pytest.fail("16 megabytes were taken")
        try:
            response = read_response(sock)
        except ConnectionError:
            return  # the reset may overtake the answer, since the server left bytes unread
        assert response is None or response.status == status


def test_h7_too_slow(fast: bool) -> None:
    with live_server(fast_websockets=fast, header_deadline_s=0.3) as server:
        for start in (b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"):
            with connect(server.port) as sock:
                sock.sendall(start)
                read_all(sock)
        with connect(server.port) as sock:  # the same for the second request of a connection, and for a body
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            response = read_response(sock)
            assert response is not None
            assert response.status == 200
            sock.sendall(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
            read_all(sock)


RUBBISH = {
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "random": os.urandom(2_000),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "NULs": bytes(1_000),
    "a path of FF": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "bare CR in a header": b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    "a header name with a space": b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
    "chunked garbage": b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "length and chunked": b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", RUBBISH.values(), ids=RUBBISH)
def test_h8_h14_h22_rubbish(server: LiveServer, data: bytes) -> None:
    response = answer_to(server, data)
    assert response is not None
    assert response.status == (505 if data.startswith(b"PRI") else 400)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/ws/", "/api/v1/ws/v3", "/API/v1/ws", "/nowhere", "/api/v1//ws"]
)
def test_h9_unknown_paths(server: LiveServer, path: str) -> None:
    response = answer_to(server, handshake_bytes(f"{path}?token={token()}"))
    assert response is not None
    assert response.status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_h10_a_plain_request_on_a_websocket_path(server: LiveServer, method: str) -> None:
    response = answer_to(server, f"{method} {WS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert response is not None
    assert response.status == 426
    assert response.headers["upgrade"] == "websocket"
    assert response.headers["connection"] == "upgrade, close"


@pytest.mark.parametrize("path", ["/api/v1/events/stream", "/healthz", "/api/v1/sse/stream"])
def test_h11_an_upgrade_elsewhere(server: LiveServer, path: str) -> None:
    response = answer_to(server, handshake_bytes(f"{path}?token={token()}"))
    assert response is not None
    assert response.status == 404


def test_h11_an_upgrade_to_something_else_is_not_followed(server: LiveServer) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    with connect(server.port) as sock:
        sock.sendall(request)
        response = read_response(sock)
        assert response is not None
        assert response.status != 101


def test_h12_the_servers_own_page_may_connect(server: LiveServer) -> None:
    for origin in (f"http://127.0.0.1:{server.port}", f"HTTP://LOCALHOST:{server.port}"):
        with RawWebSocket(server.port, good_path(), {"Origin": origin}) as ws:
            assert ws.status == 101
            assert ws.message()["type"] == "pong"


def test_h12_two_origins(server: LiveServer) -> None:
    own = f"http://127.0.0.1:{server.port}"
    response = answer_to(server, handshake_bytes(good_path(), replace={"Origin": [own, own]}))
    assert response is not None
    assert response.status in {400, 403}


@pytest.mark.parametrize("path", ["%00", "%2e%2e", "..", "%ff", "a%2f..%2fws", "x" * 2_000])
def test_h13_odd_paths(server: LiveServer, path: str) -> None:
    response = answer_to(server, handshake_bytes(f"/api/v1/{path}?token={token()}"))
    assert response is None or response.status in {400, 404}


def test_h15_a_token_among_the_subprotocols(server: LiveServer) -> None:
    with RawWebSocket(server.port, WS, {"Sec-WebSocket-Protocol": f"rt.v1, bearer.{token()}"}) as ws:
        assert ws.status == 101
        assert ws.headers["sec-websocket-protocol"] == "rt.v1"  # and never the token
        assert ws.message()["data"]["user_id"] == 7


def test_a_token_in_the_header(server: LiveServer) -> None:
    with RawWebSocket(server.port, WS, {"Authorization": f"Bearer {token('8')}"}) as ws:
        assert ws.message()["data"]["user_id"] == 8


def test_a_page_with_a_cookie_may_say_another_token(server: LiveServer) -> None:
    from_page: Replace = {"Cookie": f"rt_token={token('8')}", "Sec-Fetch-Site": "same-origin"}
    pair: Replace = {"Sec-WebSocket-Protocol": f"rt.v1, bearer.{token('7')}"}
    for path, headers, user_id in (
        (WS, from_page, 8),
        (f"{WS}?token={token('7')}", from_page, 7),
        (WS, from_page | pair, 7),
    ):
        with RawWebSocket(server.port, path, headers) as ws:
            assert ws.message()["data"]["user_id"] == user_id
    for bad in ("x", ""):  # the cookie does not step in
        with RawWebSocket(server.port, f"{WS}?token={bad}", from_page) as ws:
            close = ws.close_frame()
            assert close is not None
            assert close.code == 1008


def test_two_tokens_that_differ(server: LiveServer) -> None:
    replace: Replace = {"Authorization": f"Bearer {token('8')}"}
    response = answer_to(server, handshake_bytes(good_path(), replace=replace))
    assert response is not None
    assert response.status == 400
    assert token() not in response.body.decode()


@pytest.mark.parametrize("bad", ["", "x", "a.b.c", token(ttl_s=-60), token() + "x"])
def test_a_bad_token_is_told_by_the_close_code(server: LiveServer, bad: str) -> None:
    """A browser can read a close reason; it cannot read an HTTP status."""
    query = f"?token={bad}" if bad else ""
    with RawWebSocket(server.port, WS + query) as ws:
        assert ws.status == 101
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1008
        assert close.reason == "invalid_token: Invalid or expired token"
        ws.send_frame(CLOSE, close.payload)
        assert ws.ended()


def test_h16_extensions_are_not_negotiated(server: LiveServer) -> None:
    for offer in ("permessage-deflate; server_max_window_bits=99", "permessage-deflate", "x-unknown"):
        with RawWebSocket(server.port, good_path(), {"Sec-WebSocket-Extensions": offer}) as ws:
            assert ws.status == 101
            assert "sec-websocket-extensions" not in ws.headers


def test_h17_frames_before_the_answer(server: LiveServer) -> None:
    """RFC 6455, section 4.1: the client waits for the server's handshake."""
    response = answer_to(server, handshake_bytes(good_path()) + encode(TEXT, b'{"type":"ping"}'))
    assert response is not None
    assert response.status == 400


@pytest.mark.parametrize("path", ["/api/v1/events/stream", "/api/v1/notifications/stream"])
def test_h20_head_of_a_stream(server: LiveServer, path: str) -> None:
    request = (
        f"HEAD {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\nConnection: close\r\n\r\n"
    )
    response = answer_to(server, request.encode())
    assert response is not None
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body == b""


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_h21_other_methods_of_a_stream(server: LiveServer, method: str) -> None:
    request = f"{method} /api/v1/events/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    response = answer_to(server, request.encode())
    assert response is not None
    assert response.status == 405
    assert "GET" in response.headers["allow"]


def test_h22_a_body_without_end_is_not_waited_for(server: LiveServer) -> None:
    request = b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\nx"
    with connect(server.port) as sock:
        sock.sendall(request)
        response = read_response(sock)
        assert response is not None
        assert response.status in {405, 413}


def test_h24_forwarded_addresses_are_not_believed(fast: bool) -> None:
    with live_server(fast_websockets=fast, address_connections=1) as server, open_ws(server) as first:
        first.send("ping")
        with RawWebSocket(server.port, good_path(), {"X-Forwarded-For": "192.0.2.1"}) as second:
            assert second.message()["type"] == "closing"
            close = second.close_frame()
            assert close is not None
            assert close.code == 1013


def test_the_upgrade_header_may_be_a_list_in_any_case(server: LiveServer) -> None:
    replace: Replace = {"Upgrade": "WebSocket", "Connection": "Keep-Alive, UPGRADE"}
    with RawWebSocket(server.port, good_path(), replace) as ws:
        assert ws.status == 101


def test_w14_a_message_that_is_not_complete_in_time(fast: bool) -> None:
    with live_server(fast_websockets=fast, message_deadline_s=0.3) as server, open_ws(server) as ws:
        ws.send_frame(TEXT, b'{"type"', fin=False)
        close = ws.close_frame()
        assert close is not None
        assert close.code == 1008


def test_the_limits_of_node_user_and_address(fast: bool) -> None:
    for limit in ("node_connections", "user_connections", "address_connections"):
        with live_server(fast_websockets=fast, **{limit: 1}) as server, open_ws(server):
            with RawWebSocket(server.port, good_path()) as refused:
                closing = refused.message()
                assert closing["type"] == "closing"
                assert closing["data"]["code"] == 1013
                assert closing["data"]["retry_after_ms"] > 0
                close = refused.close_frame()
                assert close is not None
                assert close.code == 1013
            server.wait_until(lambda realtime: len(realtime.hub.clients) <= 1)


def test_positions_are_what_they_say(server: LiveServer) -> None:
    with open_ws(server) as ws:
        room = f"positions-{time.monotonic_ns()}"
        epoch, _, offset = str(join(ws, room)["position"]).partition("-")
        assert Position(epoch, int(offset)).offset == 0
