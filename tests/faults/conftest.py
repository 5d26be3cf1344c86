"""Fixtures that the fault tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.redis.server import redis_of_session
from tests.support.servers.server_process import ServerProcess

__all__ = ["redis_of_session", "servers"]


@pytest.fixture
async def servers() -> AsyncIterator[list[ServerProcess]]:
    """A stack of servers; all of them are ended with the test."""
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.kill()
