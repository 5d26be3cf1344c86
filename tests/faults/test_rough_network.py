"""Clients of both transports get everything once through a network that slices, delays and resets."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from tests.support.faults.crowd import Crowd
from tests.support.rough_network import RoughNetwork
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import watched
from tests.support.waiting import until

SEED = 24
log = logging.getLogger(__name__)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fast", "store"), [("true", "sqlite:rt.db"), ("false", "memory:")], ids=["picows", "portable"]
)
async def test_everything_arrives_once_through_slices_delays_and_resets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str, store: str, soak: bool
) -> None:
    monkeypatch.setenv("RTCLI_SERVER_FAST_WEBSOCKETS", fast)
    monkeypatch.setenv("RTCLI_SERVER_STREAM_RETRY_MS", "100")
    messages = 3_000 if soak else 80
    server = ServerProcess(tmp_path, store, "--address-connections", "off", "--history-size", "10000")
    try:
        await server.start()
        async with watched(server), RoughNetwork.to(server.port, seed=SEED, life_s=1.0) as network:
            crowd = Crowd(network.url, random.Random(SEED))
            try:
                await follow_and_publish(crowd, network, messages)
            finally:
                await crowd.close()
            verdict = crowd.check()
            log.info("%s, %s", verdict.summary(), network.counts)
            assert verdict.violations == []
            # A client that lags by more than a resume can replay is told so; only the long run has so many.
            assert verdict.declared_lost == 0 or soak
            assert verdict.deliveries + verdict.declared_lost == 6 * verdict.acknowledged >= 6 * messages
            assert network.counts.resets + network.counts.ends > 10
    finally:
        server.kill()


async def follow_and_publish(crowd: Crowd, network: RoughNetwork, messages: int) -> None:
    for number in range(3):
        crowd.tail_over_websocket(f"ws{number}")
        crowd.tail_over_sse(f"sse{number}")
    await until(lambda: all(r.start.offset >= 0 for r in crowd.receivers), why="tails are not in the room")
    publishers = [crowd.publisher(f"writer{number}") for number in range(2)]
    await until(lambda: len(crowd.sent) >= messages, timeout_s=400, why="nothing is published")
    network.calm()
    await crowd.rest(publishers)
