"""A real server on a free port, and clients of its HTTP API with tokens of all kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from rtcli_server.process.runner import ServerHandle, running_server
from rtcli_server.settings import Settings
from tests.support.clients.http_api import Clients, token_for
from tests.support.forged_tokens import SECRET


@pytest.fixture
async def server() -> AsyncIterator[ServerHandle]:
    async with running_server(Settings(port=0, secrets=(SECRET,), rate_limit_per_s=None)) as handle:
        yield handle


@pytest.fixture
async def clients(server: ServerHandle) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(stack, server.url)


@pytest.fixture
async def ann(clients: Clients) -> httpx.AsyncClient:
    """User 7, without scopes."""
    return await clients(token_for())


@pytest.fixture
async def admin(clients: Clients) -> httpx.AsyncClient:
    return await clients(token_for("root", scope="admin", name="Root"))
