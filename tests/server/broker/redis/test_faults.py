"""The Redis log while its connections are cut, and Redis is frozen, killed, emptied, full, or not heard."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rtcli.protocol.position import Position, parse_position
from tests.support.brokers.redis_traffic import PATIENT, ROOMS, Instance, Traffic, instance, run_with
from tests.support.brokers.running import Watcher, offsets, running
from tests.support.checker import Verdict
from tests.support.redis.lost_writes import lose_last
from tests.support.redis.proxy import RedisProxy
from tests.support.redis.server import RedisServer
from tests.support.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # with --soak; otherwise a few seconds each


@pytest.fixture
async def two(own_redis: RedisServer) -> AsyncIterator[list[Instance]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(instance(name, own_redis.url)) for name in ("one", "two")]


def report(verdict: Verdict, traffic: Traffic) -> None:
    print(f"{verdict.summary()}; slowest refusal {traffic.slowest_refusal_s:.2f} s")  # noqa: T201 - for the log
    assert verdict.violations == []


async def wait_readiness(one: Instance, *, ready: bool) -> None:
    async with asyncio.timeout(20):
        while await one.broker.ready() is not ready:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_cut_connections_lose_nothing(
    own_redis: RedisServer, two: list[Instance], kind: str, soak: bool
) -> None:
    async def cut(traffic: Traffic) -> None:
        for _ in range(200 if soak else 8):
            await asyncio.to_thread(own_redis.command, "CLIENT", "KILL", "TYPE", kind)
            await traffic.more(20)

    traffic, verdict = await run_with(two, cut)
    report(verdict, traffic)
    assert verdict.declared_lost == 0


@pytest.mark.parametrize("earlier", [(), ("0000000000-100",), ("zzzz-100", "0000-1")])
@pytest.mark.parametrize("lost", [True, False])
async def test_a_position_that_was_told_in_any_epoch_is_not_given_again(
    own_redis: RedisServer, earlier: tuple[str, ...], lost: bool
) -> None:
    """Somebody may be far ahead in an epoch that is over: that says nothing about this one."""
    told = [*map(parse_position, earlier)]

    class Teller(Watcher):
        def positions(self, channel: str) -> Sequence[Position]:
            return told if channel == "user:7" else ()

    async with running(own_redis.url, users=Teller()) as log:
        published = [(await log.publish("user:7")).position for _ in range(3)]
        told.append(published[-1])
        if lost:
            lose_last(own_redis, "user:7")
        position = (await log.publish("user:7")).position
        assert (position.epoch == published[0].epoch) is not lost
        assert position not in published
        assert position.offset == (1 if lost else 4)


async def test_a_watcher_of_users_is_told_what_it_may_have_missed(own_redis: RedisServer, soak: bool) -> None:
    """Nobody subscribes here to the channels of the users: only the watcher could miss something."""
    watcher = Watcher()
    async with running(own_redis.url, users=watcher) as log:
        await watcher.steady(log)
        for turn in range(500 if soak else 20):
            since, user = len(watcher.calls), f"user:{turn % 3}"
            cut = asyncio.create_task(
                asyncio.to_thread(own_redis.command, "CLIENT", "KILL", "TYPE", "pubsub")
            )
            await log.publish(user)
            await cut
            await watcher.wait_told(user, since)


async def test_a_frozen_redis_refuses_in_time_and_loses_nothing(
    own_redis: RedisServer, two: list[Instance], soak: bool
) -> None:
    async def freeze(traffic: Traffic) -> None:
        for seconds in (3, 10, 60) if soak else (1.5,):
            own_redis.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)  # that long is the fault
            assert not any([await one.broker.ready() for one in two])
            own_redis.send(signal.SIGCONT)
            await traffic.more()

    traffic, verdict = await run_with(two, freeze)
    report(verdict, traffic)
    assert verdict.declared_lost == 0
    assert traffic.slowest_refusal_s > 0


@pytest.mark.parametrize("aof", [True, False])
async def test_a_killed_redis_keeps_its_promise_or_says_that_it_did_not(
    tmp_path: Path, aof: bool, soak: bool
) -> None:
    redis = RedisServer(tmp_path, aof=aof)
    redis.start()

    async def kill(traffic: Traffic) -> None:
        for _ in range(20 if soak else 2):
            redis.kill()
            await asyncio.to_thread(redis.start)
            await traffic.more()

    try:
        async with AsyncExitStack() as stack:
            two = [await stack.enter_async_context(instance(name, redis.url)) for name in ("one", "two")]
            traffic, verdict = await run_with(two, kill)
            report(verdict, traffic)
            assert aof is not any(receiver.left_behind for one in two for receiver in one.receivers.values())
            if aof:
                assert verdict.declared_lost == 0
    finally:
        redis.kill()


async def test_an_emptied_redis_changes_the_epoch(own_redis: RedisServer, two: list[Instance]) -> None:
    async def flush(traffic: Traffic) -> None:
        await asyncio.to_thread(own_redis.command, "FLUSHALL")
        await traffic.more()

    traffic, verdict = await run_with(two, flush)
    report(verdict, traffic)
    assert all(len(receiver.left_behind) == 1 for one in two for receiver in one.receivers.values())


async def test_scripts_that_were_flushed_are_loaded_again(
    own_redis: RedisServer, two: list[Instance]
) -> None:
    async def flush(traffic: Traffic) -> None:
        for _ in range(3):
            await asyncio.to_thread(own_redis.command, "SCRIPT", "FLUSH")
            await traffic.more()

    traffic, verdict = await run_with(two, flush)
    report(verdict, traffic)
    assert verdict.declared_lost == 0


async def test_a_full_redis_refuses_publishes_and_still_reads(
    own_redis: RedisServer, two: list[Instance]
) -> None:
    async def fill(traffic: Traffic) -> None:
        await asyncio.to_thread(own_redis.command, "CONFIG", "SET", "maxmemory", "1")
        before = len(traffic.sent)
        await until(lambda: len(traffic.sent) >= before + 50, "50 more attempts")
        page = await two[0].broker.history(ROOMS[0], since=None, limit=5)
        assert len(page.publications) == 5
        await asyncio.to_thread(own_redis.command, "CONFIG", "SET", "maxmemory", "0")

    traffic, verdict = await run_with(two, fill)
    report(verdict, traffic)
    assert (verdict.unknown, verdict.refused > 0) == (0, True)
    top = (await two[0].broker.history(ROOMS[0], since=None, limit=0)).top
    assert top.offset < len(traffic.sent)


async def test_answers_that_are_lost_after_the_write_publish_once(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(RedisProxy.to(own_redis.port))
        two = [
            await stack.enter_async_context(instance("one", proxy.url)),
            await stack.enter_async_context(instance("two", own_redis.url)),
        ]

        async def swallow(traffic: Traffic) -> None:
            for _ in range(10):
                proxy.swallow_answers()
                await traffic.more(20)
                proxy.cut()
                await traffic.more(20)

        traffic, verdict = await run_with(two, swallow)
        report(verdict, traffic)
        assert verdict.declared_lost == 0


async def test_a_deaf_listener_is_found_by_the_canary(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(RedisProxy.to(own_redis.port))
        deaf = await stack.enter_async_context(instance("deaf", proxy.url))
        good = await stack.enter_async_context(instance("good", own_redis.url))

        async def deafen(traffic: Traffic) -> None:
            for _ in range(3):
                proxy.swallow_messages()
                await wait_readiness(deaf, ready=False)
                await wait_readiness(deaf, ready=True)
                await traffic.more(20)

        traffic, verdict = await run_with([deaf, good], deafen)
        report(verdict, traffic)
        assert verdict.declared_lost == 0


async def test_an_instance_that_is_cut_off_refuses_in_time_and_catches_up(
    own_redis: RedisServer, soak: bool
) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(RedisProxy.to(own_redis.port))
        cut_off = await stack.enter_async_context(instance("cut off", proxy.url))
        good = await stack.enter_async_context(instance("good", own_redis.url))

        async def part(_: Traffic) -> None:
            for seconds in (5, 30) if soak else (1.5,):
                proxy.part()
                await asyncio.sleep(seconds)  # that long is the fault
                assert not await cut_off.broker.ready()
                assert await good.broker.ready()
                proxy.join()
                await wait_readiness(cut_off, ready=True)

        traffic, verdict = await run_with([cut_off, good], part)
        report(verdict, traffic)
        assert verdict.declared_lost == 0
        assert traffic.slowest_refusal_s < 5  # a bound on being stuck, not a measurement


async def test_a_connection_sliced_to_single_bytes_carries_the_same(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(RedisProxy.to(own_redis.port, slice_bytes=1))
        two = [
            await stack.enter_async_context(instance("one", proxy.url, PATIENT)),
            await stack.enter_async_context(instance("two", own_redis.url)),
        ]

        async def nothing(traffic: Traffic) -> None:
            await traffic.more(20)

        traffic, verdict = await run_with(two, nothing, publishers=2)
        report(verdict, traffic)


async def test_joining_races_the_publishes_of_another_instance(own_redis: RedisServer, soak: bool) -> None:
    async with running(own_redis.url) as here, running(own_redis.url) as there:
        for turn in range(10_000 if soak else 100):
            room = f"room:{turn}"
            futures = [there.start(room) for _ in range(5)]
            here.broker.subscribe(room)
            reading = asyncio.ensure_future(here.page(room))
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            futures += [there.start(room) for _ in range(5)]
            top = (await reading).top.offset
            await asyncio.gather(*futures, there.start(room))
            await until(lambda: offsets(here.delivered)[-1:] == [11], "the last one")
            live = offsets(here.delivered)
            assert live == list(range(live[0], 12))
            assert live[0] <= top + 1
            here.broker.unsubscribe(room)
            here.delivered.clear()
