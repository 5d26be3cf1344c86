"""Foreign content under the keys of two running servers is skipped and counted, and stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as client

from tests.support.brokers.foreign_content import DAMAGE, MESSAGES, META, PUBSUB_CHANNEL, STREAM
from tests.support.faults.fleet import nobody_noticed, two_on_redis

# Writes an entry behind the newest one, whose id it reads in the same step.
ENTRY = "return redis.call('XADD', KEYS[2], redis.call('HGET', KEYS[1], 'top') .. '-7', unpack(ARGV))"
# Those for the room of that module, which has five publications.
ELSEWHERE = {"entry_of_others", "entry_of_another_shape"}


def entry(*fields: str | bytes) -> Callable[[client.Redis], object]:
    """An entry in the stream between two of ours."""
    return lambda redis: redis.eval(ENTRY, 2, META, STREAM, *fields)


def run_ahead(redis: client.Redis) -> None:
    """Skip a thousand offsets."""
    redis.hincrby(META, "top", 1_000)


def inflict(harm: Callable[[client.Redis], object], redis: client.Redis) -> None:
    """Do the harm in two steps, and again if a server repairs it in between."""
    while True:
        try:
            harm(redis)
        except client.ResponseError:
            continue
        return


def harms() -> list[Callable[[client.Redis], object]]:
    """All kinds of harm, which are done one after another."""
    return [
        entry("something", "else"),
        entry("e", "x", "d", "not json", "t", "1", "b", "1"),
        entry("e", "x", "d", b"\xff" * 10_000_000, "t", "1", "b", "1"),
        run_ahead,
        *[damage for damage, _ in DAMAGE if damage.__name__ not in ELSEWHERE],
    ]


@pytest.mark.timeout(120)
async def test_foreign_content_is_skipped_and_everybody_is_told_what_it_cost(
    tmp_path: Path, soak: bool
) -> None:
    async with two_on_redis(tmp_path, soak=soak) as two:
        with client.Redis(port=two.redis.port) as vandal:
            await two.crowd.start()
            for channel in (PUBSUB_CHANNEL, *vandal.pubsub_channels("rt:*")):
                for payload in MESSAGES:
                    await asyncio.to_thread(vandal.publish, channel, payload)
            await two.crowd.more()
            assert two.crowd.tails[0].receiver.gaps == []
            for harm in harms() * (5 if soak else 1):
                await asyncio.to_thread(inflict, harm, vandal)
                await two.crowd.more(5)
            await two.until_ready()
            await two.finish("foreign content")
            assert all(tail.receiver.gaps for tail in two.crowd.tails)
            nobody_noticed(two)
            for server in two.servers:
                assert "skipped foreign content" in server.log.read_text()
