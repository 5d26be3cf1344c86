"""A server on a SQLite log, killed at random moments under publishers and tails on both transports."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rtcli.protocol.position import Position
from tests.support.checker import Receiver
from tests.support.clients.peers import StreamPeer, WsPeer, connect
from tests.support.faults.crowd import ROOM, Crowd, deployment
from tests.support.waiting import until

SEED = 20
log = logging.getLogger(__name__)


def has_sent(crowd: Crowd, count: int) -> bool:
    return len(crowd.sent) >= count


@pytest.mark.timeout(600)
async def test_every_acknowledged_event_reaches_every_tail_once_in_order(tmp_path: Path, soak: bool) -> None:
    kills = 20 if soak else 4
    rng = random.Random(SEED)
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=SEED) as (server, crowd):
        for number in range(5):
            crowd.tail_over_websocket(f"ws{number}")
            crowd.tail_over_sse(f"sse{number}")
        await until(
            lambda: all(r.start.offset >= 0 for r in crowd.receivers), why="tails are not in the room"
        )
        publishers = [crowd.publisher(f"writer{number}") for number in range(2)]
        for _ in range(kills):
            enough = len(crowd.sent) + 20
            await until(partial(has_sent, crowd, enough), why="nothing is published")
            await asyncio.sleep(rng.uniform(0.0, 0.4))  # the random moment is the purpose
            assert await asyncio.to_thread(server.stop, signal.SIGKILL) == -signal.SIGKILL
            await server.start()
        await crowd.rest(publishers)
        verdict = crowd.check()
        log.info("killed %d times: %s", kills, verdict.summary())
        assert verdict.violations == []
        assert verdict.declared_lost == 0
        assert verdict.acknowledged == len(crowd.sent) > 20 * kills
        assert verdict.deliveries == 10 * verdict.acknowledged


@pytest.mark.timeout(600)
async def test_a_position_goes_on_over_the_other_transport_after_each_kill(
    tmp_path: Path, soak: bool
) -> None:
    """One receiver: WebSocket, then SSE from the same position, and back, with a kill before each change."""
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=SEED) as (server, crowd):
        reference = crowd.tail_over_websocket("reference")
        await until(lambda: reference.start.offset >= 0, why="the reference is not in the room")
        wanderer = Receiver("wanderer", ROOM, reference.start)
        crowd.receivers.append(wanderer)
        at = reference.start
        publishers = [crowd.publisher("writer")]
        for turn in range(20 if soak else 2):
            at = await (over_websocket if turn % 2 else over_sse)(server.port, at, wanderer, count=10)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await server.start()
        crowd.stop_publishing()
        await asyncio.gather(*publishers)
        await over_sse(server.port, at, wanderer, count=len(crowd.sent) - len(wanderer.events))
        await crowd.rest([])
        verdict = crowd.check()
        log.info("from transport to transport: %s", verdict.summary())
        assert verdict.violations == []
        assert verdict.deliveries == 2 * verdict.acknowledged


async def over_websocket(port: int, at: Position, record: Receiver, *, count: int) -> Position:
    """Receive `count` messages after a position. Returns the position of the last one."""
    peer = await connect(port, WsPeer("wanderer"))
    await peer.ready
    peer.send("join_room", room=ROOM, since=str(at))
    await until(lambda: len(peer.of_type("new_message")) >= count, why="no messages over WebSocket")
    peer.transport.abort()
    assert peer.of_type("room_joined")[0]["recovered"]
    return take(record, peer.of_type("new_message")[:count])


async def over_sse(port: int, at: Position, record: Receiver, *, count: int) -> Position:
    """Receive over SSE as `over_websocket` does."""
    peer = await connect(port, StreamPeer("wanderer", [ROOM], last_event_id=f"{ROOM}={at}"))
    await until(lambda: len(messages(peer)) >= count, why="no messages over SSE")
    peer.transport.abort()
    assert peer.events[0][1]["channels"][ROOM]["recovered"]
    return take(record, messages(peer)[:count])


def messages(peer: StreamPeer) -> list[dict[str, Any]]:
    return [data for name, data in peer.events if name == "new_message"]


def take(record: Receiver, news: list[dict[str, Any]]) -> Position:
    record.events += [(data["content"], Position(data["epoch"], data["offset"])) for data in news]
    return record.events[-1][1]


async def test_a_drained_server_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=SEED) as (server, crowd):
        crowd.tail_over_websocket("ws")
        crowd.tail_over_sse("sse")
        await until(
            lambda: all(r.start.offset >= 0 for r in crowd.receivers), why="tails are not in the room"
        )
        publishers = [crowd.publisher("writer")]
        await until(lambda: len(crowd.sent) > 50, why="nothing is published")
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        await server.start()
        await crowd.rest(publishers)
        verdict = crowd.check()
        log.info("drained and started again: %s", verdict.summary())
        assert verdict.violations == []
        assert verdict.deliveries == 2 * verdict.acknowledged > 0
