"""Connections that are closed, and whose clients do not take the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.servers.live_server import LiveServer, live_server

REQUEST = b"GET /page.css HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /page.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
WAITING = 20_000  # more than one answer, and too little to make the transport busy


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server(slow_deadline_s=0.5) as server:
        yield server


def deaf(port: int) -> socket.socket:
    """A client that has room for little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.settimeout(15)
    sock.connect(("127.0.0.1", port))
    return sock


def waiting(server: LiveServer) -> int:
    return server.ask(lambda realtime: sum(output.waiting_bytes for output in realtime.answers.outputs))


def let_a_little_wait(server: LiveServer, sock: socket.socket) -> None:
    """Ask until the kernel holds no more."""
    for _ in range(20_000):
        sock.sendall(REQUEST)
        # Several turns of the loop: the request is answered, and the kernel has what it takes.
        if min(waiting(server) for _ in range(5)) > WAITING:
            return
    raise AssertionError("the kernel holds all of it")


@pytest.mark.parametrize("end", [LAST, b"BAD\r\n\r\n", b""], ids=["last answer", "refusal", "idle"])
def test_what_is_not_read_after_the_end_has_a_deadline(server: LiveServer, end: bytes) -> None:
    with deaf(server.port) as sock:
        let_a_little_wait(server, sock)
        assert not server.ask(lambda realtime: realtime.send_budget.busy)
        sock.sendall(end)
        server.wait_until(lambda realtime: not realtime.answers.outputs)
