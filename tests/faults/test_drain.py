"""SIGTERM under load: clients are told when to reconnect, and it ends in time even if some do not read."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.clients.peers import Peer, StreamPeer, WsPeer, connect, connect_all, freeze, token
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import log_is_clean, until_metric
from tests.support.waiting import until

DRAIN_S = 12.0
SPREAD_MS = 5_000  # the setting retry_spread_s
LIMITS = ("--user-connections", "off", "--address-connections", "off", "--drain-timeout", f"{DRAIN_S:.0f}s")
log = logging.getLogger(__name__)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(tmp_path, "memory:", *LIMITS)
    try:
        await server.start()
        yield server
    finally:
        server.kill()


async def flood(server: ServerProcess, room: str, slow_clients: int) -> None:
    """Publish in a room until all members that do not read lag."""
    peer = await connect(server.port, WsPeer("flood", [room]))
    await peer.ready
    for number in range(1_500):
        peer.send("chat_message", f"{number}", room=room, content="x" * 8_000)
        if number % 50 == 49:
            await until(lambda: len(peer.of_type("ack")) > number, why="the flood is not acknowledged")  # noqa: B023 - at once
    peer.transport.close()
    await peer.lost
    await until_metric(server, "rtcli_slow_clients", slow_clients)


def spread(peers: list[Peer]) -> list[int]:
    """The delays after which the clients were told to reconnect, in milliseconds."""
    delays = [peer.closing["retry_after_ms"] for peer in peers if peer.closing is not None]
    assert len(delays) == len(peers), f"{len(peers) - len(delays)} of {len(peers)} were told nothing"
    return delays


@pytest.mark.timeout(300)
async def test_it_ends_in_time_and_tells_everyone_when_to_come_back(
    server: ServerProcess, soak: bool
) -> None:
    socket_count, stream_count, frozen_count = (2_000, 500, 5) if soak else (300, 80, 5)
    sockets = await connect_all(server.port, lambda n: WsPeer(f"ws{n}", [f"room{n % 50}"]), socket_count)
    streams = await connect_all(server.port, lambda n: StreamPeer(f"sse{n}", [f"room{n % 50}"]), stream_count)
    frozen = [await freeze(server.port, WsPeer(f"frozen{n}", ["flooded"])) for n in range(frozen_count)]
    await flood(server, "flooded", frozen_count)
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    code = await asyncio.to_thread(server.wait)
    took = time.monotonic() - started
    assert code == 0
    assert took < DRAIN_S
    told: list[Peer] = [*sockets, *streams]
    await asyncio.wait_for(asyncio.gather(*(peer.lost for peer in told)), 30)
    delays = spread(told)
    assert len(set(delays)) > len(delays) / 2
    assert min(delays) < SPREAD_MS / 4
    assert max(delays) > SPREAD_MS * 3 / 4
    assert {peer.close_code for peer in sockets} == {1012}
    assert all(stream.retry_ms == stream.closing["retry_after_ms"] for stream in streams if stream.closing)
    assert all(stream.ended for stream in streams)
    for peer in frozen:
        peer.transport.abort()
    log_is_clean(server)
    counts = (socket_count, stream_count, frozen_count)
    log.info("%d sockets, %d streams, %d frozen: out after %.1f s", *counts, took)


async def test_meanwhile_it_is_alive_not_ready_and_takes_nobody(server: ServerProcess) -> None:
    holding = WsPeer("holding", answers_close=False)  # the drain waits for its answer
    await connect(server.port, holding)
    await holding.ready
    server.signal(signal.SIGTERM)
    await until(lambda: holding.closing is not None, why="it does not drain")
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200
        assert "rtcli_draining 1.0" in (await http.get("/metrics")).text
    late = await connect(server.port, WsPeer("late"))
    await late.lost
    assert late.close_code == 1012
    late_stream = await connect(server.port, StreamPeer("late"))
    await until(lambda: late_stream.closing is not None, why="a new stream is told nothing")
    holding.transport.abort()
    assert await asyncio.to_thread(server.wait) == 0
    log_is_clean(server)


async def test_a_second_signal_ends_it_at_once(server: ServerProcess) -> None:
    holding = await connect(server.port, WsPeer("holding", answers_close=False))
    await holding.ready
    server.signal(signal.SIGTERM)
    await until(lambda: holding.closing is not None, why="it does not drain")
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait) == 128 + signal.SIGTERM


async def test_what_was_acknowledged_before_the_signal_was_delivered(server: ServerProcess) -> None:
    members = await connect_all(server.port, lambda n: WsPeer(f"m{n}", ["room"]), 20)
    async with httpx.AsyncClient(base_url=server.url) as http:
        headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
        for number in range(50):
            answer = await http.post(
                "/api/v1/rooms/room/messages", json={"content": f"{number}"}, headers=headers
            )
            assert answer.status_code == 201
    server.signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*(member.lost for member in members)), 30)
    for member in members:
        contents = [data["content"] for data in member.of_type("new_message")]
        assert contents == [str(number) for number in range(50)]
        assert member.messages[-1]["type"] == "closing"
    assert await asyncio.to_thread(server.wait) == 0
