"""Behind a proxy, every endpoint counts and logs the client's address, and no client can choose its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support.clients.raw_http import RawWebSocket, connect, read_response
from tests.support.clients.raw_sse import EventStream
from tests.support.servers.live_server import LiveServer, live_server, token

ANN, BOB = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def proxied(fast: bool) -> Iterator[LiveServer]:
    """A server that trusts proxies on this machine, and accepts one connection from each address."""
    with live_server(fast_websockets=fast, trusted_proxies=("127.0.0.0/8",), address_connections=1) as server:
        yield server


def ws_from(server: LiveServer, *forwarded: str) -> RawWebSocket:
    return RawWebSocket(server.port, f"/api/v1/ws?token={token()}", {"X-Forwarded-For": list(forwarded)})


def is_welcome(ws: RawWebSocket) -> bool:
    return bool(ws.message()["type"] == "pong")


def test_a_websocket_counts_for_the_client(proxied: LiveServer) -> None:
    with ws_from(proxied, ANN) as ann, ws_from(proxied, BOB) as bob:
        assert is_welcome(ann)
        assert is_welcome(bob)
        with ws_from(proxied, ANN) as again:
            assert not is_welcome(again)
        for spoofed in ((f"203.0.113.9, {ANN}",), ("203.0.113.9", ANN), (f"127.0.0.1, {ANN}",)):
            with ws_from(proxied, *spoofed) as other:
                assert not is_welcome(other)
    proxied.wait_until(lambda realtime: not realtime.hub.clients)
    with ws_from(proxied, ANN) as back:
        assert is_welcome(back)


@pytest.mark.parametrize("path", ["/api/v1/events/stream", "/api/v1/sse/stream"])
def test_a_stream_counts_for_the_client(proxied: LiveServer, path: str) -> None:
    with stream_from(proxied, path, ANN), stream_from(proxied, path, BOB):
        proxied.wait_until(lambda realtime: len(realtime.hub.clients) == 2)
        for address in (ANN, f"203.0.113.9, {ANN}"):
            with stream_from(proxied, path, address) as refused:
                assert refused.json("closing")["code"] == 1013


def stream_from(server: LiveServer, path: str, forwarded: str) -> EventStream:
    return EventStream(server.port, path=path, headers=(f"X-Forwarded-For: {forwarded}",))


def test_each_request_of_a_kept_connection_has_its_own_client(
    proxied: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="rtcli_server.auth.admission")
    with connect(proxied.port) as sock:
        for address in (ANN, f"203.0.113.9, {BOB}", "nonsense"):
            head = f"GET /api/v1/rooms/a/messages HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n"
            sock.sendall(head.encode())
            response = read_response(sock)
            assert response is not None
            assert response.status == 401
    told = [
        getattr(record, "address", None)
        for record in caplog.records
        if record.name == "rtcli_server.auth.admission"
    ]
    assert told == [ANN, BOB, "127.0.0.1"]
