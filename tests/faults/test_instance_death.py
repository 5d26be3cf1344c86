"""An instance that dies or freezes: its users go offline within the bound, and not before."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.clients.peers import WsPeer, connect, token
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import ServerProcess

LEASE_S = 2.0  # 20 s by default: here everything takes a tenth of the time
GONE_WITHIN_S = 6.0  # the lease, two heartbeats, and time for a busy machine: 60 s with the default lease


@pytest.fixture
async def pair(
    tmp_path: Path, redis_of_session: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    monkeypatch.setenv("RTCLI_SERVER_INSTANCE_LEASE_S", str(LEASE_S))
    store = f"{redis_of_session.url}?prefix=death{time.time_ns()}"
    servers = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        servers.append(ServerProcess(tmp_path / name, store))
    try:
        for server in servers:
            await server.start()
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.kill()


async def member_count(server: ServerProcess) -> int:
    headers = {"Authorization": f"Bearer {token('1')}"}
    async with httpx.AsyncClient(headers=headers) as http:
        answer = await http.get(f"{server.url}/api/v1/rooms/room/members")
        return int(answer.json()["member_count"])


async def everyone(first: ServerProcess, second: ServerProcess) -> WsPeer:
    """Three users on the first instance, and one who watches on the second."""
    watcher = await connect(second.port, WsPeer("watcher", ["room"]))
    await watcher.ready
    for number in range(3):
        peer = await connect(first.port, WsPeer(f"u{number}", ["room"]))
        await peer.ready
    assert await member_count(second) == 4
    return watcher


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_users_of_a_dead_instance_are_gone_within_the_bound(
    pair: tuple[ServerProcess, ServerProcess], number: signal.Signals
) -> None:
    first, second = pair
    watcher = await everyone(first, second)
    first.signal(number)
    died = time.monotonic()
    while await member_count(second) > 1:
        assert time.monotonic() - died < GONE_WITHIN_S
        await asyncio.sleep(0.05)
    assert time.monotonic() - died > LEASE_S / 2  # a short pause is not yet a death
    left = sorted(str(data["user_id"]) for data in watcher.of_type("user_left"))
    assert left == ["u0", "u1", "u2"]
    if number is signal.SIGSTOP:  # the instance was only frozen: its users are online again
        first.signal(signal.SIGCONT)
        while await member_count(second) < 4:
            assert time.monotonic() - died < 30
            await asyncio.sleep(0.05)


async def test_a_pause_shorter_than_the_lease_is_not_seen(pair: tuple[ServerProcess, ServerProcess]) -> None:
    first, second = pair
    watcher = await everyone(first, second)
    first.signal(signal.SIGSTOP)
    await asyncio.sleep(LEASE_S / 2)
    first.signal(signal.SIGCONT)
    await asyncio.sleep(LEASE_S)
    assert watcher.of_type("user_left") == []
    assert await member_count(second) == 4
