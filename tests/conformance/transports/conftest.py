"""The suite runs on both WebSocket transports: each fixture server serves through one of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients.raw_http import RawWebSocket
from tests.support.servers.live_server import LiveServer, live_server, token

TRANSPORTS = {"picows": True, "portable": False}


@pytest.fixture(scope="package", params=TRANSPORTS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """One server for all tests: whatever a test does to it, the next one still finds it serving."""
    with live_server(fast_websockets=TRANSPORTS[request.param], presence_grace_s=0.2) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def fast(request: pytest.FixtureRequest) -> bool:
    """For tests that start a server with settings of their own."""
    return TRANSPORTS[request.param]


def open_ws(
    server: LiveServer, sub: str = "7", *, path: str = "/api/v1/ws", name: str = "Ann"
) -> RawWebSocket:
    """Connect with a good token, and take the greeting."""
    separator = "&" if "?" in path else "?"
    ws = RawWebSocket(server.port, f"{path}{separator}token={token(sub, name=name)}")
    assert ws.status == 101, ws.body
    greeting = ws.message()
    assert greeting["type"] == "pong"
    return ws


def join(ws: RawWebSocket, room: str, **more: str | int) -> dict[str, object]:
    """Join, and return the data of the reply."""
    ws.send("join_room", None, room=room, **more)
    data: dict[str, object] = ws.until("room_joined")["data"]
    return data
