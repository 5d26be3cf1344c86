"""Connections of the bundled server: requests sent ahead, bodies nobody reads, upgrades in every order."""

from __future__ import annotations

import gc
import logging
import re
import socket
from collections.abc import Callable, Iterator

import pytest

from rtcli_server.transports.http.reader import RequestReader
from tests.support.clients.raw_http import (
    CLOSE,
    TEXT,
    Response,
    connect,
    encode,
    handshake_bytes,
    read_all,
    read_response,
)
from tests.support.servers.live_server import TRANSPORTS, LiveServer, live_server, token

WS = "/api/v1/ws"
BEARER = f"Authorization: Bearer {token(scope='publish')}\r\n"
STREAM = f"GET /api/v1/events/stream?room=r HTTP/1.1\r\nHost: a\r\n{BEARER}\r\n".encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HANDSHAKE = handshake_bytes(f"{WS}?token={token()}")
PAGES = 800
CONTENT = b'{"content": "hi"}'


def post(*fields: str, content: bytes = CONTENT, path: str = "/api/v1/rooms/r/messages") -> bytes:
    length = (
        []
        if any(field.lower().startswith("transfer") for field in fields)
        else [f"Content-Length: {len(content)}"]
    )
    lines = ["Host: a", "Content-Type: application/json", *length, *fields]
    return f"POST {path} HTTP/1.1\r\n{BEARER}".encode() + "\r\n".join([*lines, "", ""]).encode() + content


@pytest.fixture(scope="module", params=TRANSPORTS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    fast = TRANSPORTS[request.param]
    with live_server(fast_websockets=fast, presence_grace_s=0.1, header_deadline_s=2.0) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: LiveServer) -> Iterator[None]:
    yield
    server.wait_until(lambda realtime: realtime.hub.caps.count == 0)
    server.wait_until(lambda realtime: not realtime.hub.clients)


def read_until(sock: socket.socket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        more = sock.recv(65_536)
        assert more, data
        data += more
    return data


def statuses(data: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def answers(server: LiveServer, data: bytes, *, step: int = 1_000_000) -> bytes:
    with connect(server.port) as sock:
        for start in range(0, len(data), step):
            sock.sendall(data[start : start + step])
        return read_all(sock)


def read_statuses(server: LiveServer, data: bytes) -> None:
    assert len(statuses(answers(server, data))) == ROUNDS + 1


def one(sock: socket.socket) -> Response:
    response = read_response(sock)
    assert response is not None
    return response


# -- requests sent ahead -----------------------------------------------------------------------------------


def test_requests_sent_ahead_are_answered_in_order(server: LiveServer) -> None:
    requests = [
        HEALTH,
        post(),
        b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        post("Transfer-Encoding: chunked", content=b"11\r\n" + CONTENT + b"\r\n0\r\nA: b\r\n\r\n"),
    ]
    data = answers(server, b"".join(requests) * 30 + LAST)
    assert statuses(data) == [200, 201, 404, 201] * 30 + [200]


@pytest.mark.parametrize("step", [1, 7])
def test_requests_split_anywhere(server: LiveServer, step: int) -> None:
    assert statuses(answers(server, HEALTH + post() + LAST, step=step)) == [200, 201, 200]


def test_what_is_sent_ahead_waits_with_the_client_until_the_answers_are_read(server: LiveServer) -> None:
    request = b"GET /rtclient.js HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 12_000 + b"\r\n\r\n"
    with connect(server.port) as sock:
        sock.settimeout(0.5)
        sent = 0
        try:
            while True:
                sent += sock.send(request[sent % len(request) :])
                assert sent < 100_000_000, "it takes everything"
        except TimeoutError:
            sock.settimeout(15)
        wanted, seen, tail = sent // len(request), 0, b""
        while seen < wanted:
            data = tail + sock.recv(1_000_000)
            seen += data.count(b"HTTP/1.1 200")
            tail = data[-11:]
        assert seen == wanted


def test_nothing_is_answered_after_the_last_request(server: LiveServer) -> None:
    """RFC 9112, section 9.6: no further request is processed after `Connection: close`."""
    assert statuses(answers(server, LAST + HEALTH * 10)) == [200]
    assert statuses(answers(server, b"GET /healthz HTTP/1.0\r\n\r\n" + HEALTH * 10)) == [200]


def test_a_bad_request_ahead_does_not_disturb_the_answers_before_it(server: LiveServer) -> None:
    assert statuses(answers(server, HEALTH + post() + b"BAD\r\n\r\n" + HEALTH)) == [200, 201, 400]


def garbage_of(work: Callable[[], None]) -> int:
    """How many objects the collector has to free after it; without it they would stay."""
    work()  # what is made once
    gc.collect()
    gc.disable()
    try:
        work()
        return gc.collect()
    finally:
        gc.enable()


ROUNDS = 30
GET_ROOM = f"GET /api/v1/rooms/r/messages{{}} HTTP/1.1\r\nHost: a\r\n{BEARER}\r\n"
REQUESTS = {
    "health": HEALTH,
    "publish": post(),
    "publish in chunks": post(
        "Transfer-Encoding: chunked", content=b"11\r\n" + CONTENT + b"\r\n0\r\nA: b\r\n\r\n"
    ),
    "not JSON": post(content=b"{"),
    "a wrong parameter": GET_ROOM.format("?limit=x").encode(),
    "history": GET_ROOM.format("").encode(),
    "unknown": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    "head": b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "method": b"PUT /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "slash": b"GET /healthz/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no token": b"GET /api/v1/rooms HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade": post("Upgrade: h2c", "Connection: upgrade"),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_nothing_of_a_request_waits_for_the_collector(server: LiveServer, kind: str) -> None:
    """The collector of a server runs rarely: what only it frees is as good as lost."""
    data = REQUESTS[kind] * ROUNDS + LAST
    assert garbage_of(lambda: read_statuses(server, data)) < ROUNDS


CONNECTIONS = {
    "no HTTP": b"\x00",
    "another version": b"GET / HTTP/2.0\r\n\r\n",
    "a request": HEALTH,
    "half a body": HEALTH + post()[:-1],
    "a stream": STREAM,
    "an open stream": b"GET /api/v1/sse/stream HTTP/1.1\r\nHost: a\r\n\r\n",
    "a WebSocket": HANDSHAKE,
    "a bad token": handshake_bytes(f"{WS}?token=x"),
    "an unknown path": handshake_bytes("/nothing"),
    "another version of WebSockets": handshake_bytes(WS, replace={"Sec-WebSocket-Version": "8"}),
    "a foreign origin": handshake_bytes(WS, replace={"Origin": "http://evil.example"}),
}


@pytest.mark.parametrize("kind", CONNECTIONS)
def test_nothing_of_a_connection_waits_for_the_collector(server: LiveServer, kind: str) -> None:
    def connect_often() -> None:
        for _ in range(ROUNDS):
            with connect(server.port) as sock:
                sock.sendall(CONNECTIONS[kind])
                sock.recv(65_536)
        server.wait_until(lambda realtime: not realtime.hub.clients)
        server.wait_until(lambda realtime: not realtime.answers.outputs)

    assert garbage_of(connect_often) < ROUNDS


# -- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.2", "nonsense", "websocket", "h2c, websocket"])
def test_a_body_behind_an_upgrade_is_that_requests(server: LiveServer, upgrade: str) -> None:
    """RFC 9110, section 7.8. The body looks like a request, and must not become one."""
    fields = (f"Upgrade: {upgrade}", "Connection: upgrade")
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
    data = answers(server, post(*fields) + post(*fields, content=smuggled) + LAST)
    assert statuses(data) == [201, 400, 200]
    assert b"rtcli_" not in data


def test_a_get_with_a_body_is_no_handshake(server: LiveServer) -> None:
    for field, body in (("Content-Length: 5", b"hello"), ("Transfer-Encoding: chunked", b"0\r\n\r\n")):
        name, _, value = field.partition(": ")
        request = handshake_bytes(f"{WS}?token={token()}", replace={name: value})
        assert statuses(answers(server, request + body)) == [400]


def test_trailers_are_no_header_fields(server: LiveServer) -> None:
    """RFC 9110, section 6.5.1."""
    for trailer in (BEARER.strip(), "Content-Type: application/json"):
        name = trailer.partition(":")[0]
        request = post(
            "Transfer-Encoding: chunked",
            content=b"11\r\n" + CONTENT + b"\r\n0\r\n" + trailer.encode() + b"\r\n\r\n",
        )
        without = b"\r\n".join(
            line
            for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")
            if not line.startswith(name.encode())
        )
        request = without + b"\r\n\r\n" + request.partition(b"\r\n\r\n")[2]
        expected = 401 if name == "Authorization" else 415
        assert statuses(answers(server, request + LAST)) == [expected, 200]


def test_a_body_that_nobody_reads_is_not_the_next_request(server: LiveServer) -> None:
    for content in (HEALTH * 1_000, b"x" * 1_000_000):
        request = post("X: y", content=content, path="/nothing")
        assert statuses(answers(server, request + LAST)) == [404, 200]


def test_a_bad_chunk_is_the_end(server: LiveServer) -> None:
    request = post("Transfer-Encoding: chunked", content=b"zz\r\n")
    assert statuses(answers(server, request + HEALTH)) == [400]


def test_a_request_that_has_its_answer_gets_no_second_one(server: LiveServer) -> None:
    """A pipelining client would take it for the answer to its next request."""
    head = b"POST /api/v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(server.port) as sock:
        sock.sendall(head + b"1\r\n{\r\n")
        assert one(sock).status == 401  # without waiting for the body
        sock.sendall(b"nonsense\r\n" + HEALTH)
        assert read_all(sock) == b""


def test_a_client_that_asks_before_it_sends_a_body(server: LiveServer) -> None:
    """RFC 9110, section 10.1.1."""
    head, _, _ = post("Expect: 100-continue").partition(b"\r\n\r\n")
    with connect(server.port) as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert one(sock).status == 100
        sock.sendall(CONTENT + LAST)
        assert statuses(read_all(sock)) == [201, 200]
    with connect(server.port) as sock:  # it was refused unread: nobody knows what the client sends next
        sock.sendall(head.replace(BEARER.encode(), b"") + b"\r\n\r\n")
        refusal = one(sock)
        assert refusal.status == 401
        assert refusal.headers["connection"] == "close"
        assert read_all(sock) == b""


def test_an_upload_that_is_broken_off_is_no_traceback(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        with connect(server.port) as sock:
            sock.sendall(post(content=b"x" * 1_000)[:-500])
    server.wait_until(lambda realtime: not realtime.hub.clients)
    assert statuses(answers(server, LAST)) == [200]
    assert caplog.messages == []


def test_a_fault_of_the_server_cuts_the_connection_that_met_it(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_reader: RequestReader) -> None:
        raise RuntimeError("a fault")

    with connect(server.port) as other, connect(server.port) as sock:
        with monkeypatch.context() as patch:
            patch.setattr(RequestReader, "next_head", fail)
            sock.sendall(HEALTH)
            assert read_all(sock) == b""
        other.sendall(LAST)
        assert statuses(read_all(other)) == [200]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "reading from an HTTP connection failed; it is cut"
    ]


# -- event streams and upgrades on one connection ----------------------------------------------------------


def assert_members(server: LiveServer, count: int) -> None:
    server.wait_until(lambda realtime: realtime.hub.caps.count == count)


@pytest.mark.parametrize("ahead", [HANDSHAKE, HEALTH, STREAM, b"\x00", HEALTH * 100_000])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_is_the_last_answer_of_its_connection(
    server: LiveServer, ahead: bytes, at_once: bool
) -> None:
    with connect(server.port) as sock:
        sock.sendall(STREAM + (ahead if at_once else b""))
        assert b"\r\nconnection: close\r\n" in read_until(sock, b"event: ready")
        if not at_once:
            sock.sendall(ahead)
        assert_members(server, 1)
        server.ask(lambda realtime: realtime.hub.kick("7"))
        rest = read_all(sock)
        assert rest.endswith(b"0\r\n\r\n")
        assert b"HTTP/1.1" not in rest
    assert_members(server, 0)


def test_a_client_that_leaves_a_stream_after_more_requests_is_noticed(server: LiveServer) -> None:
    with connect(server.port) as sock:
        sock.sendall(STREAM + HEALTH * 10_000)
        assert one(sock).status == 200
        assert_members(server, 1)
    assert_members(server, 0)


def test_a_handshake_behind_other_requests(server: LiveServer) -> None:
    """It is taken when the answers before it are complete, and its frames come behind them."""
    with connect(server.port) as sock:
        sock.sendall(HEALTH * 20 + post() + HANDSHAKE)
        data = b""
        while b'"Connected"' not in data:
            data += sock.recv(65_536)
        assert statuses(data) == [200] * 20 + [201, 101]
        assert_members(server, 1)
        sock.sendall(encode(TEXT, b'{"type":"ping","id":"p"}'))
        data = b""
        while b'"id":"p"' not in data:
            data += sock.recv(65_536)
        sock.sendall(encode(CLOSE, b"\x03\xe8"))
        read_all(sock)
    assert_members(server, 0)


def test_a_handshake_behind_answers_that_are_not_read(server: LiveServer) -> None:
    """The transport is handed over when the client has taken them."""
    with connect(server.port) as sock:
        page = b"GET /rtclient.js HTTP/1.1\r\nHost: a\r\n\r\n"  # more of it than the kernel takes
        sock.sendall(page * PAGES + HANDSHAKE)
        with connect(server.port) as other:
            other.sendall(HEALTH * PAGES + LAST)
            assert len(statuses(read_all(other))) == PAGES + 1
        assert server.ask(lambda realtime: realtime.hub.caps.count) == 0
        data = bytearray()
        while b'"Connected"' not in data[-2_000:]:
            data += sock.recv(1_000_000)
        assert statuses(bytes(data)) == [200] * PAGES + [101]
    assert_members(server, 0)


def test_a_stream_over_http_1_0(server: LiveServer) -> None:
    request = STREAM.replace(b"HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.0\r\n")
    with connect(server.port) as sock:
        sock.sendall(request)
        head, _, body = read_until(sock, b"event: ready").partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert body.startswith((b"id: ", b"retry: "))
        server.ask(lambda realtime: realtime.hub.kick("7"))
        assert b"0\r\n" not in read_all(sock)


@pytest.mark.parametrize(
    "path", ["/api/v1/events/stream?room=r", "/api/v1/notifications/stream", "/api/v1/sse/stream"]
)
def test_head_of_a_stream_takes_no_place(server: LiveServer, path: str) -> None:
    request = f"HEAD {path} HTTP/1.1\r\nHost: a\r\n{BEARER}\r\n".encode()
    opened = server.ask(lambda realtime: sum(realtime.metrics.opened.values()))
    with connect(server.port) as sock:
        for _ in range(5):
            sock.sendall(request)
            response = one(sock)
            assert response.status == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert "transfer-encoding" not in response.headers
        sock.sendall(LAST)
        assert statuses(read_all(sock)) == [200]
    assert server.ask(lambda realtime: sum(realtime.metrics.opened.values())) == opened


# -- time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beginning",
    [
        HEALTH + b"GET / HT",
        HEALTH + post()[:-1],
        post("Transfer-Encoding: chunked", content=b"5\r\nab"),
        post("Transfer-Encoding: chunked", content=b"0\r\nA: b\r\n", path="/nothing"),
        b"\r\n\r\n\r\n",
    ],
)
def test_a_request_that_does_not_end_is_dropped(server: LiveServer, beginning: bytes) -> None:
    with connect(server.port) as sock:
        sock.sendall(beginning)
        read_all(sock)  # which fails after 15 s
