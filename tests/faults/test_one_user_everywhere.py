"""One user with three connections that are cut at random: every event once on each, whoever it was for."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.support.faults.one_user import OneUser
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import log_is_clean

SOON_BACK = {"stream_retry_ms": 100, "retry_spread_s": 0.1}
log = logging.getLogger(__name__)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("store", ["memory", "sqlite", "redis", "two on redis"])
async def test_every_event_comes_once_on_each_of_three_connections(
    request: pytest.FixtureRequest, tmp_path: Path, servers: list[ServerProcess], store: str, soak: bool
) -> None:
    url = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'rt.db'}"}.get(store)
    if url is None:
        redis: RedisServer = request.getfixturevalue("redis_of_session")
        redis.command("FLUSHALL")
        url = redis.url
    for number in range(1 + store.startswith("two")):
        home = tmp_path / str(number)
        home.mkdir()
        servers.append(ServerProcess(home, url, "--address-connections", "off", settings=SOON_BACK))
    await asyncio.gather(*[server.start() for server in servers])
    user = OneUser(servers, tmp_path, seed=13)
    async with user.connected():
        await user.publish(600.0 if soak else 2.5, cut_s=2.0 if soak else 0.4, at_least=30)
        verdict = await user.rest()
        log.info("%s: %s, %s", store, verdict.summary(), [it.proxy.counts for it in user.transports])
        assert verdict.violations == []
        assert [transport.complaints for transport in user.transports] == [[], [], []]
        assert verdict.declared_lost == 0
        assert verdict.deliveries == 3 * verdict.acknowledged > 3 * 20
        for transport in user.transports:
            assert transport.proxy.counts.connections > 3  # two of them by cuts of all
    for server in servers:
        log_is_clean(server)
