"""Too many clients, too slow ones, or no descriptors left: the server keeps answering and recovers."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.clients.peers import Peer, StreamPeer, WsPeer, connect, connect_all, drop
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import descriptors, metric, until_metric, watched
from tests.support.waiting import until

SEED = 5
NO_LIMITS = ("--user-connections", "off", "--address-connections", "off")
log = logging.getLogger(__name__)
Start = Callable[..., Awaitable[ServerProcess]]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start a server with options, and with settings as keywords. It is ended with the test."""
    servers: list[ServerProcess] = []

    async def begin(*options: str, prefix: tuple[str, ...] = (), **settings: str) -> ServerProcess:
        for name, value in settings.items():
            monkeypatch.setenv(f"RTCLI_SERVER_{name.upper()}", value)
        servers.append(ServerProcess(tmp_path, "memory:", *options, prefix=prefix))
        await servers[-1].start()
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


@pytest.mark.timeout(300)
async def test_a_storm_of_reconnects(start: Start, soak: bool) -> None:
    count, waves = (5_000, 3) if soak else (500, 2)
    rng = random.Random(SEED)
    server = await start(*NO_LIMITS)
    async with watched(server) as health:
        for _ in range(waves):
            peers = await connect_all(server.port, lambda n: WsPeer(f"u{n}", [f"room{n % 50}"]), count)
            assert await metric(server, "rtcli_connections") == count
            rng.shuffle(peers)
            drop(peers)  # all of them at once, by RST; the next wave does not wait
        log.info("%d times %d, /healthz at most %.2f s", waves, count, max(health.seconds))


async def test_a_flood_from_one_address_is_bounded_and_others_come_in(start: Start) -> None:
    server = await start("--user-connections", "off", "--address-connections", "50")
    async with watched(server):
        welcome = await connect_all(server.port, lambda n: WsPeer(f"u{n}", ["room"]), 50)
        turned_away = [await connect(server.port, WsPeer(f"more{n}", ["room"])) for n in range(200)]
        streams = [await connect(server.port, StreamPeer(f"more{n}")) for n in range(50)]
        await asyncio.wait_for(asyncio.gather(*(peer.lost for peer in (*turned_away, *streams))), 30)
        assert {peer.close_code for peer in turned_away} == {1013}
        refused: list[Peer] = [*turned_away, *streams]
        delays = [peer.closing["retry_after_ms"] for peer in refused if peer.closing is not None]
        assert len(delays) == len(refused)
        assert len(set(delays)) > len(delays) / 2
        elsewhere = await connect(server.port, WsPeer("elsewhere", ["room"]), source="127.0.0.9")
        await asyncio.wait_for(asyncio.shield(elsewhere.ready), 10)
        assert await metric(server, "rtcli_connections") == 51
        drop([*welcome, elsewhere])


async def test_slowloris(start: Start) -> None:
    server = await start(header_deadline_s="1")
    async with watched(server):
        starts = (b"", b"GET /api/v1/ws HTTP/1.1\r\nHost: a\r\nX-A: ", b"POST /api/v1/events HTTP/1.1\r\n")
        peers = [await connect(server.port, Peer(starts[n % len(starts)])) for n in range(200)]
        while not all(peer.lost.done() for peer in peers):  # `watched` checks the others
            for peer in peers:
                if not peer.transport.is_closing():
                    peer.transport.write(b"x")  # one byte at a time does not move the deadline
            await asyncio.sleep(0.2)


@pytest.mark.timeout(120)
async def test_out_of_descriptors(start: Start) -> None:
    limit = 200
    server = await start(*NO_LIMITS, prefix=("prlimit", f"--nofile={limit}:{limit}"))
    async with watched(server, keeps_connection=True):  # a new connection is impossible
        crowd = [await connect(server.port, WsPeer(f"u{n}")) for n in range(limit + 100)]
        welcome = [peer for peer in crowd if await admitted(peer)]
        assert 0.5 * limit < len(welcome) <= 0.9 * limit
        turned_away = [peer for peer in crowd if peer not in welcome]
        assert all(peer.close_code in {1013, None} for peer in turned_away)
        drop(turned_away)
        # Now silent sockets take the remaining descriptors; the server must not spin or fill its log.
        silent = [await connect(server.port, Peer(b"")) for _ in range(limit)]
        await until(lambda: descriptors(server.pid) >= limit - 5, why="there are descriptors left")
        drop(silent)
        welcome[0].send("ping")
        await until(lambda: len(welcome[0].of_type("pong")) == 2, why="those inside are not served")
        drop(welcome)
        await until_metric(server, "rtcli_connections", 0)
    assert len(server.log.read_text().splitlines()) < 200


async def admitted(peer: WsPeer) -> bool:
    """Whether the server accepted the connection and keeps it."""
    try:
        await asyncio.wait_for(asyncio.shield(peer.ready), 10)
    except (ConnectionError, TimeoutError):
        return False
    return peer.closing is None
