"""Idempotency keys in the file of the SQLite log, over restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rtcli_server.broker import Retention
from rtcli_server.broker.sqlite import keys as sqlite_keys
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import rows, url
from tests.support.waiting import until

WINDOW_MS = 300_000
FEW = Retention(max_keys=2_000)


def count(path: Path) -> int:
    [(found,)] = rows(path, "SELECT count(*) FROM keys")
    assert isinstance(found, int)
    return found


async def publish_keys(log: Running, number: int) -> None:
    await asyncio.gather(*[log.start(key=f"{log.number}") for _ in range(number)])


async def maintained(log: Running, path: Path, at_most: int) -> None:
    """Let maintenance run until so many keys are left."""
    log.broker._thread._maintain_at = 0.0  # type: ignore[attr-defined]
    await log.publish()
    await until(lambda: count(path) <= at_most, "the keys removed")


async def test_a_key_that_was_used_again_after_its_window_may_be_loaded(path: Path) -> None:
    offsets = []
    for age_ms in (WINDOW_MS + 60_000, WINDOW_MS + 30_000, 0):
        async with running(url(path)) as log:
            offsets.append((await log.publish(key="k", age_ms=age_ms)).position.offset)
            offsets.append((await log.publish(key="other", age_ms=age_ms)).position.offset)
            assert await log.broker.ready()
    assert offsets == [1, 2, 3, 4, 5, 6]
    assert count(path) == 6
    async with running(url(path)) as log:
        assert (await log.publish(key="k")) == ((await log.page()).publications[4].position, True)


async def test_the_table_is_bounded_after_a_restart_that_found_it_empty(path: Path) -> None:
    async with running(url(path), FEW) as log:
        await asyncio.gather(*[log.start(key=f"old{n}", age_ms=2 * WINDOW_MS) for n in range(5_000)])
        await maintained(log, path, at_most=0)
    async with running(url(path), FEW) as log:
        for _ in range(5):
            await publish_keys(log, 1_000)
            assert count(path) <= FEW.max_keys + sqlite_keys.STEP_ROWS
        assert (await log.publish(key=f"{log.number - 1}")).duplicate


async def test_the_table_gets_down_to_a_limit_that_was_lowered(path: Path) -> None:
    async with running(url(path)) as log:
        await publish_keys(log, 5_000)
    assert count(path) == 5_000
    async with running(url(path), FEW) as log:
        await maintained(log, path, at_most=FEW.max_keys)
        assert (await log.publish(key="4999")).duplicate
        assert not (await log.publish(key="1000")).duplicate
