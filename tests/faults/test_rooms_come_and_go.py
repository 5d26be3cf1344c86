"""Endlessly many rooms: no key, subscription or memory is left of the rooms that everybody has left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis as client

from tests.support.clients.peers import WsPeer, connect, drop
from tests.support.faults.fleet import HOSTS, PASSWORD, instance, own_redis, store
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import (
    descriptors,
    log_is_clean,
    resident_bytes,
    serves_a_good_client,
    until_metric,
)
from tests.support.waiting import until

VISITORS = 8
AT_ONCE = 40  # rooms of one visitor
LONGEST_TTL_S = 610.0  # of any key: those of a room or a user live for 600 s
MAY_GROW_BYTES = 8 * 1024 * 1024
NO_TTL = -1  # Redis' answer to PTTL
log = logging.getLogger(__name__)


class Visitor(WsPeer):
    """Joins rooms, sends a message in each, and leaves when it has received it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._inside: set[str] = set()
        self._unacknowledged: set[str] = set()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def visit(self, rooms: Sequence[str]) -> None:
        """Be in all of these rooms at once, and leave them."""
        self._inside, self._unacknowledged = set(rooms), set(rooms)
        self._done = asyncio.get_running_loop().create_future()
        for room in rooms:
            self.send("join_room", room=room)
            self.send("chat_message", room, room=room, content="hello")
        await asyncio.wait_for(self._done, 60)

    def on_message(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "pong" if not self.ready.done():
                self.ready.set_result(None)
            case "new_message":
                self.send("leave_room", room=message["data"]["room"])
            case "room_left":
                self._inside.remove(message["data"]["room"])
            case "ack":
                self._unacknowledged.remove(message["id"])
            case "error":
                self._done.set_exception(AssertionError(message))
        if not self._inside and not self._unacknowledged and not self._done.done():
            self._done.set_result(None)


async def visit_all(visitors: Sequence[Visitor], start: int, stop: int) -> None:
    """Have the rooms with these numbers visited once each."""
    groups = iter([range(at, min(at + AT_ONCE, stop)) for at in range(start, stop, AT_ONCE)])

    async def go(visitor: Visitor) -> None:
        for group in groups:
            await visitor.visit([f"room{number}" for number in group])

    await asyncio.gather(*map(go, visitors))


class KeyWatch:
    """Checks all keys repeatedly for one that never expires, or too late."""

    def __init__(self, redis: client.Redis) -> None:
        self._redis = redis
        self.looked_at = 0
        self.most = 0  # the largest number of keys at any time
        self.wrong: list[tuple[object, int]] = []

    def look(self) -> None:
        """Check all keys once."""
        for keys in self._pages():
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.pttl(key)
            for key, ttl_ms in zip(keys, pipeline.execute(), strict=True):
                if ttl_ms == NO_TTL or ttl_ms > LONGEST_TTL_S * 1000:
                    self.wrong.append((key, ttl_ms))
            self.looked_at += len(keys)

    def _pages(self) -> Iterator[list[Any]]:
        cursor = None
        while cursor != 0:
            self.most = max(self.most, self._redis.dbsize())
            cursor, keys = self._redis.scan(cursor or 0, count=1_000)
            yield keys

    def let_time_pass(self, seconds: float) -> None:
        """Shorten the life of each key by this time. That equals waiting when nobody is there any more."""
        for key in self._redis.scan_iter(count=1_000):
            self._redis.pexpire(key, max(1, self._redis.pttl(key) - int(seconds * 1000)))


@contextlib.asynccontextmanager
async def looking_at_keys(redis: RedisServer) -> AsyncIterator[KeyWatch]:
    """Check all keys while the block runs. Fails for a key that never expires."""
    with client.Redis(port=redis.port) as admin:
        watch = KeyWatch(admin)
        stopping = asyncio.Event()

        async def look() -> None:
            while not stopping.is_set():
                await asyncio.to_thread(watch.look)
                await asyncio.sleep(0.05)

        looking = asyncio.create_task(look())
        try:
            yield watch
        finally:
            stopping.set()
            await looking
        assert watch.looked_at > 0
        assert watch.wrong == []


def subscriptions(redis: RedisServer) -> object:
    """The rooms to which a server is subscribed."""
    return redis.command("PUBSUB", "CHANNELS", "rt:p:room:*")


async def come_and_go(server: ServerProcess, redis: RedisServer, rooms: int) -> None:
    """Have this many rooms visited, and check that the server is as before."""
    visitors = [await connect(server.port, Visitor(f"v{n}"), host=server.host) for n in range(VISITORS)]
    await asyncio.gather(*[visitor.ready for visitor in visitors])
    warm_up = rooms // 10
    await visit_all(visitors, 0, warm_up)
    open_before, bytes_before = descriptors(server.pid), resident_bytes(server.pid)
    await visit_all(visitors, warm_up, warm_up + rooms)
    await until_metric(server, "rtcli_rooms", 0)
    await until(lambda: not subscriptions(redis), why="subscriptions are left")
    grown = resident_bytes(server.pid) - bytes_before
    log.info("%d rooms: the server has grown by %.1f MiB", rooms, grown / 2**20)
    assert grown < MAY_GROW_BYTES
    assert descriptors(server.pid) <= open_before + 1
    drop(visitors)
    await until_metric(server, "rtcli_connections", 0)


@pytest.mark.timeout(1_800)
async def test_rooms_that_come_and_go_leave_nothing(tmp_path: Path, soak: bool) -> None:
    with own_redis(tmp_path) as redis:
        server = instance(tmp_path, HOSTS[0], store(redis.port), "--history-ttl", "2s")
        try:
            await server.start()
            empty = redis.admin.info("memory")["used_memory"]
            async with looking_at_keys(redis) as watch:
                await come_and_go(server, redis, 100_000 if soak else 2_000)
                await serves_a_good_client(server)
                full = redis.admin.info("memory")["used_memory"]
                assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
                await asyncio.to_thread(watch.look)
            if not soak:
                with client.Redis(port=redis.port) as admin:
                    KeyWatch(admin).let_time_pass(LONGEST_TTL_S)
            await until(
                lambda: redis.command("DBSIZE") == 0, timeout_s=LONGEST_TTL_S + 30, why="keys are left"
            )
            left = redis.admin.info("memory")["used_memory"]
            sizes = " -> ".join(f"{size / 2**20:.1f}" for size in (empty, full, left))
            log.info("at most %d keys, %d looked at; Redis holds %s MiB", watch.most, watch.looked_at, sizes)
            log_is_clean(server, PASSWORD)
        finally:
            server.kill()
