"""Tops are read together, and each is what a read by itself would have said."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from rtcli.protocol.position import Position
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.top_reads import MAX_AT_ONCE, TopOutcome, TopReads
from tests.support.brokers.running import running
from tests.support.brokers.sqlite_files import url
from tests.support.waiting import until


class Reads:
    """Answers reads when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[list[str], asyncio.Future[list[TopOutcome]]]] = []
        self.closed = False

    def __call__(self, channels: Sequence[str]) -> asyncio.Future[list[TopOutcome]]:
        if self.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self.jobs.append((list(channels), asyncio.get_running_loop().create_future()))
        return self.jobs[-1][1]

    async def answer(self, job: int) -> list[str]:
        await until(lambda: len(self.jobs) > job)
        channels, future = self.jobs[job]
        future.set_result([Position("aaaa", int(channel)) for channel in channels])
        return channels


async def test_what_arrives_during_a_read_is_the_next_one() -> None:
    reads = Reads()
    tops = TopReads(reads)
    first = [tops.top("1"), tops.top("2")]
    await until(lambda: len(reads.jobs) == 1)
    later = [tops.top(str(number)) for number in range(3, 6)]
    assert await reads.answer(0) == ["1", "2"]
    assert await reads.answer(1) == ["3", "4", "5"]
    found = await asyncio.gather(*first, *later)
    assert [top.offset for top in found] == [1, 2, 3, 4, 5]
    last = tops.top("6")
    assert await reads.answer(2) == ["6"]
    assert (await last).offset == 6


async def test_no_read_is_for_more_than_the_limit() -> None:
    reads = Reads()
    tops = TopReads(reads)
    waiting = [tops.top(str(number)) for number in range(MAX_AT_ONCE + 1)]
    assert len(await reads.answer(0)) == MAX_AT_ONCE
    assert await reads.answer(1) == [str(MAX_AT_ONCE)]
    await asyncio.gather(*waiting)


async def test_who_does_not_wait_any_more_takes_nothing_from_others() -> None:
    reads = Reads()
    tops = TopReads(reads)
    gone, here = tops.top("1"), tops.top("2")
    gone.cancel()
    await reads.answer(0)
    assert (await here).offset == 2


@pytest.mark.parametrize("how", ["closed", "fails"])
async def test_a_read_that_cannot_be_made_refuses_all_that_wait(how: str) -> None:
    reads = Reads()
    reads.closed = how == "closed"
    tops = TopReads(reads)
    waiting = [tops.top("1"), tops.top("2")]
    if how == "fails":
        await until(lambda: len(reads.jobs) == 1)
        reads.jobs[0][1].set_exception(OSError("no thread"))
    for one in waiting:
        with pytest.raises(BrokerUnavailableError):
            await one
    reads.closed = False
    again = tops.top("3")
    await reads.answer(len(reads.jobs) if how == "closed" else 1)
    assert (await again).offset == 3


async def test_tops_read_together_are_those_of_pages(tmp_path: Path) -> None:
    async with running(url(tmp_path / "rt.db")) as log:
        names = [f"user:{number}" for number in range(40)]
        for number, name in enumerate(names):
            for _ in range(number % 4):
                await log.publish(name)
        together = await asyncio.gather(*[log.page(name, limit=0) for name in names])
        alone = [await log.page(name, limit=1) for name in names]
        assert [page.top for page in together] == [page.top for page in alone]
        assert [page.top.offset for page in together] == [number % 4 for number in range(40)]
        assert all(page.publications == [] for page in together)


async def test_a_damaged_channel_takes_no_other_with_it(tmp_path: Path) -> None:
    async with running(url(tmp_path / "rt.db")) as log:
        for name in ("user:a", "user:b"):
            await log.publish(name)
        with closing(sqlite3.connect(tmp_path / "rt.db")) as other, other:
            other.execute("UPDATE channels SET bytes = bytes + 1 WHERE name = 'user:a'")
        outcomes = await asyncio.gather(
            *[log.page(name, limit=0) for name in ("user:a", "user:b", "user:c")], return_exceptions=True
        )
        damaged, whole, unknown = outcomes
        assert isinstance(damaged, BrokerUnavailableError)
        assert not isinstance(whole, BaseException)
        assert not isinstance(unknown, BaseException)
        assert (whole.top.offset, unknown.top.offset) == (1, 0)
