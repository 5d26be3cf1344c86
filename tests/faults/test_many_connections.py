"""Ten thousand connections in rooms of one process: nearly all are idle, and a few chat."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clients.peers import WsPeer, connect_all, drop
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import metric, resident_bytes, until_metric, watched
from tests.support.waiting import until

ROOM_SIZE = 10
CHAT_ROOMS = 10
log = logging.getLogger(__name__)


class Listener(WsPeer):
    """Records when each of its messages arrived."""

    def __init__(self, sub: str, room: str) -> None:
        super().__init__(sub, [room])
        self.room = room
        self.heard: dict[str, float] = {}

    def read(self) -> None:
        super().read()
        now = time.perf_counter()
        for data in self.of_type("new_message"):
            self.heard.setdefault(data["content"], now)
        self.messages.clear()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(tmp_path, "memory:", "--address-connections", "off")
    try:
        await server.start()
        yield server
    finally:
        server.kill()


async def chat(peers: list[Listener], count: int) -> list[float]:
    """Send `count` messages in some of the rooms, 50 per second. Returns the seconds of each delivery."""
    spoken: dict[str, float] = {}
    for number in range(count):
        speaker = peers[number % CHAT_ROOMS]
        spoken[f"{number}"] = time.perf_counter()
        speaker.send("chat_message", room=speaker.room, content=f"{number}")
        await asyncio.sleep(0.02)
    rooms = {peer.room for peer in peers[:CHAT_ROOMS]}
    listeners = [peer for peer in peers if peer.room in rooms]
    wanted = count * len(listeners) // CHAT_ROOMS
    await until(lambda: sum(len(p.heard) for p in listeners) == wanted, why="not everything was heard")
    return [at - spoken[content] for peer in listeners for content, at in peer.heard.items()]


@pytest.mark.timeout(300)
async def test_chat_among_many_idle_connections(server: ServerProcess, soak: bool) -> None:
    count, messages = (10_000, 1_000) if soak else (500, 100)
    async with watched(server):
        before = resident_bytes(server.pid)
        started = time.monotonic()
        rooms = count // ROOM_SIZE
        peers = await connect_all(server.port, lambda n: Listener(f"u{n}", f"room{n % rooms}"), count)
        took = time.monotonic() - started
        assert await metric(server, "rtcli_connections") == count
        await until_metric(server, "rtcli_rooms", rooms)  # the room of the good client is dropped soon
        each = (resident_bytes(server.pid) - before) / count
        delays = await chat(peers, messages)
        assert len(delays) == messages * ROOM_SIZE
        p99 = statistics.quantiles(delays, n=100)[98]
        summary = "%d connections in %.1f s, %.1f KiB each; %d deliveries, p99 %.1f ms"
        log.info(summary, count, took, each / 1024, len(delays), p99 * 1000)
        if soak:  # the goal of the project for this size; the measurement includes the client's own delay
            assert p99 < 0.05
            assert each < 20 * 1024
        drop(peers)
