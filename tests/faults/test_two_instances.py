"""Two servers on one Redis, while Redis or a server is cut off, frozen or killed.

Everybody gets every message exactly once and in one order, whichever server they connect or return to.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.faults.fleet import fleet, nobody_noticed, own_redis, pair, two_on_redis
from tests.support.paths import ROOT
from tests.support.redis.proxy import RedisProxy
from tests.support.servers.watch import metric

pytestmark = pytest.mark.timeout(600)  # for --soak; otherwise each test takes a few seconds


async def test_connections_to_redis_that_are_cut_lose_nothing(tmp_path: Path, soak: bool) -> None:
    async with two_on_redis(tmp_path, soak=soak) as two:
        await two.crowd.start()
        for kind in ("pubsub", "normal"):
            cut = 0
            for _ in range(60 if soak else 30):
                cut += int(str(await asyncio.to_thread(two.redis.command, "CLIENT", "KILL", "TYPE", kind)))
                await asyncio.sleep(1 if soak else 0.07)  # the time between two faults
            assert cut >= 2
            await two.until_ready()
            await two.crowd.more()
        verdict = await two.finish("connections cut every second")
        assert verdict.declared_lost == 0
        nobody_noticed(two)


async def test_a_frozen_redis_takes_nothing_and_loses_nothing(tmp_path: Path, soak: bool) -> None:
    async with two_on_redis(tmp_path, soak=soak) as two:
        await two.crowd.start()
        for seconds in (3, 10, 60) if soak else (3,):
            began = time.monotonic()
            two.redis.send(signal.SIGSTOP)
            await two.until_ready(ready=False)
            acknowledged = two.crowd.acknowledged()
            await asyncio.sleep(began + seconds - time.monotonic())
            assert two.crowd.acknowledged() == acknowledged
            two.redis.send(signal.SIGCONT)
            await two.until_ready()
            await two.crowd.more()
        verdict = await two.finish("Redis frozen")
        assert verdict.declared_lost == 0
        assert two.crowd.refusals > 0
        nobody_noticed(two)


@pytest.mark.parametrize("aof", [True, False], ids=["aof", "nothing"])
async def test_a_killed_redis_keeps_what_it_wrote_or_everybody_is_told(
    tmp_path: Path, aof: bool, soak: bool
) -> None:
    async with two_on_redis(tmp_path, soak=soak, aof=aof) as two:
        await two.crowd.start()
        for _ in range(10 if soak else 1):
            two.redis.kill()
            await two.until_ready(ready=False)
            await asyncio.sleep(1)
            await asyncio.to_thread(two.redis.start)
            await two.until_ready()
            await two.crowd.more()
        verdict = await two.finish(f"Redis killed, {aof=}", forgetful=not aof)
        assert {bool(tail.receiver.gaps) for tail in two.crowd.tails} == {not aof}
        assert aof <= (verdict.declared_lost == 0)
        nobody_noticed(two)


async def test_an_instance_that_is_killed_takes_nothing_along(tmp_path: Path, soak: bool) -> None:
    async with two_on_redis(tmp_path, soak=soak, health=False) as two:
        await two.crowd.start()
        for turn in range(20 if soak else 2):
            began = time.monotonic()
            await two.restart(two.servers[turn % 2], signal.SIGKILL)
            await two.crowd.more()
            await asyncio.sleep(max(0.0, (5 if soak else 2) - (time.monotonic() - began)))
        verdict = await two.finish("an instance killed")
        assert verdict.declared_lost == 0
        assert not all(two.crowd.steady_losses)  # some connections were lost without notice


async def test_a_rolling_restart_sends_everybody_to_the_other_one(tmp_path: Path, soak: bool) -> None:
    async with two_on_redis(tmp_path, soak=soak, health=False) as two:
        await two.crowd.start()
        for _ in range(5 if soak else 1):
            for server in two.servers:
                await two.restart(server, signal.SIGTERM)
                await two.crowd.more()
        verdict = await two.finish("rolling restarts")
        assert verdict.declared_lost == 0
        assert two.crowd.steady_losses
        assert all(two.crowd.steady_losses)  # each was told to come back


async def test_an_answer_that_is_lost_after_the_write_publishes_once(tmp_path: Path, soak: bool) -> None:
    with own_redis(tmp_path) as redis:
        async with RedisProxy.to(redis.port) as proxy:
            servers = pair(tmp_path, proxy.port, redis.port)
            async with fleet(servers, redis, soak=soak) as two, two.watched():
                await two.crowd.start()
                rounds = 30 if soak else 3
                for _ in range(rounds):
                    proxy.swallow_answers()
                    await asyncio.sleep(0.5)
                    proxy.cut()
                    await two.crowd.more()
                counts = [
                    await metric(server, "rtcli_publications_total", outcome="duplicate")
                    for server in two.servers
                ]
                verdict = await two.finish(
                    f"answers cut {rounds} times, {sum(counts):.0f} publishes repeated"
                )
                assert sum(counts) > 0
                assert verdict.declared_lost == 0
                nobody_noticed(two)


def test_an_instance_without_a_network_refuses_and_catches_up(tmp_path: Path, soak: bool) -> None:
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ["unshare", "--net", *user, sys.executable, "-m", "tests.support.faults.cut_off", str(tmp_path)]
    done = subprocess.run(
        [*command, *["--soak"] * soak], cwd=ROOT, capture_output=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    print(done.stderr.decode())  # noqa: T201 - what it counted, for the log
