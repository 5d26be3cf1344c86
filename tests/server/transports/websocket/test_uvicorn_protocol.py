"""WebSockets on uvicorn's protocol that end while their clients do not read."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from rtcli_server.transports.websocket import uvicorn_protocol
from tests.support.clients.raw_http import CLOSE, TEXT, RawWebSocket, encode
from tests.support.clients.rooms import join, open_ws
from tests.support.servers.live_server import LiveServer, live_server
from tests.support.servers.watch import descriptors
from tests.support.waiting import wait_until

CONTENT = "x" * 4_000
NO_PONG = b""


@pytest.fixture
def pinged(monkeypatch: pytest.MonkeyPatch) -> list[uvicorn_protocol.UvicornWebSocket]:
    """The connections that wait for their first ping, in the order of their coming: the test sends it."""
    found: list[uvicorn_protocol.UvicornWebSocket] = []

    def schedule_ping(protocol: uvicorn_protocol.UvicornWebSocket) -> None:
        found.append(protocol)

    monkeypatch.setattr(uvicorn_protocol.UvicornWebSocket, "schedule_ping", schedule_ping)
    return found


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch,
    pinged: list[uvicorn_protocol.UvicornWebSocket],  # noqa: ARG001 - before any connection
) -> Iterator[LiveServer]:
    monkeypatch.setattr(uvicorn_protocol, "CLOSE_TIMEOUT_S", 0.5)
    with live_server(fast_websockets=False, rate_limit_per_s=None, rfc_ping_timeout_s=0.5) as server:
        yield server


def waiting(server: LiveServer) -> int:
    return server.ask(lambda realtime: sum(client.waiting_bytes for client in realtime.hub.clients.values()))


def let_a_little_wait(server: LiveServer, publisher: RawWebSocket) -> None:
    """Publish until the kernel holds no more of it for a member who does not read."""
    for _ in range(2_000):
        publisher.send("chat_message", f"m-{time.monotonic_ns()}", room="a", content=CONTENT)
        publisher.until("ack")
        if min(waiting(server) for _ in range(5)):
            return
    raise AssertionError("the kernel holds all of it")


@pytest.mark.parametrize(
    "end",
    [encode(CLOSE, b"\x03\xe8"), encode(TEXT, b"\xff"), NO_PONG],
    ids=["close frame", "not UTF-8", "no pong"],
)
def test_who_does_not_read_what_is_before_the_end_is_dropped(
    server: LiveServer, pinged: list[uvicorn_protocol.UvicornWebSocket], end: bytes
) -> None:
    with open_ws(server, "1") as publisher, open_ws(server, "2") as deaf:
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        join(publisher, "a")
        join(deaf, "a")
        let_a_little_wait(server, publisher)
        connected = descriptors(os.getpid())
        if end == NO_PONG:
            server.ask(lambda _realtime: pinged[1].send_keepalive_ping())
        deaf.send_raw(end)
        publisher.sock.close()
        # Of the four ends, those of the publisher and the server's other one.
        wait_until(lambda: descriptors(os.getpid()) == connected - 3, "it is still connected")
        assert not server.ask(lambda realtime: realtime.hub.clients)
