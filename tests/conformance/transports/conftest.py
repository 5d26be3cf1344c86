"""The suite runs on both WebSocket transports: each server of these fixtures uses one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.servers.live_server import TRANSPORTS, LiveServer, live_server

_numbers = itertools.count()


@pytest.fixture(scope="package", params=TRANSPORTS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """One server for all tests: whatever a test does to it, it must still serve the next one."""
    with live_server(fast_websockets=TRANSPORTS[request.param], presence_grace_s=0.2) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def fast(request: pytest.FixtureRequest) -> bool:
    """For tests that start a server with settings of their own."""
    return TRANSPORTS[request.param]


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room-{next(_numbers)}"
