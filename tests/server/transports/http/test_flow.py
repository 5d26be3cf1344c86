"""What waits in a transport counts once for the process, whoever took the transport over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtcli_server.connections.process_budget import Output
from rtcli_server.connections.websocket import Connection
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.raw_http import connect, handshake_bytes, read_response
from tests.support.servers.live_server import TRANSPORTS, LiveServer, live_server, token

MUCH = 8 * 1024 * 1024  # more than the kernel takes
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=TRANSPORTS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    with live_server(fast_websockets=TRANSPORTS[request.param]) as server:
        yield server


def seen(realtime: RealtimeServer) -> list[Output]:
    """All outputs, as the budget keeps them for a while."""
    return list(realtime.outputs())


def test_a_websocket_is_not_an_answer_any_more(server: LiveServer) -> None:
    def write(realtime: RealtimeServer) -> None:
        (client,) = realtime.hub.clients.values()
        assert isinstance(client, Connection)
        client.writer.send(b"x" * MUCH)
        client.writer.flush()

    with connect(server.port) as sock:
        sock.sendall(HEALTH)
        read_response(sock)
        before = server.ask(seen)
        sock.sendall(handshake_bytes(f"/api/v1/ws?token={token()}"))
        server.wait_until(lambda realtime: bool(realtime.hub.clients))
        server.ask(write)
        assert len(before) == 1
        assert server.ask(lambda _: before[0].waiting_bytes) == 0
        assert server.ask(lambda realtime: sum(output.waiting_bytes for output in seen(realtime))) > 0
