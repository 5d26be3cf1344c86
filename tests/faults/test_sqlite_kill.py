"""A server on a SQLite log, killed at random moments under publishers and tails on both transports."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.faults.deployment import Crowd, deployment, until

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
            await asyncio.sleep(rng.uniform(0.0, 0.4))  # the moment is the point
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
            await server.start()
        await crowd.rest(publishers)
        verdict = crowd.check()
        log.info("killed %d times: %s", kills, verdict.summary())
        assert verdict.violations == []
        assert verdict.declared_lost == 0
        assert verdict.acknowledged == len(crowd.sent) > 20 * kills
        assert verdict.deliveries == 10 * verdict.acknowledged


async def test_a_drained_server_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=SEED) as (server, crowd):
        crowd.tail_over_websocket("ws")
        crowd.tail_over_sse("sse")
        await until(
            lambda: all(r.start.offset >= 0 for r in crowd.receivers), why="tails are not in the room"
        )
        publishers = [crowd.publisher("writer")]
        await until(lambda: len(crowd.sent) > 50, why="nothing is published")
        assert server.stop(signal.SIGTERM) == 0
        await server.start()
        await crowd.rest(publishers)
        verdict = crowd.check()
        log.info("drained and started again: %s", verdict.summary())
        assert verdict.violations == []
        assert verdict.deliveries == 2 * verdict.acknowledged > 0
