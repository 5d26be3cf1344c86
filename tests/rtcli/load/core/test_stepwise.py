"""Work that is done in steps: none of it is lost, whoever does it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from rtcli.load.core.stepwise import StepwiseWork


def counting(done: list[str], name: str, steps: int) -> Iterator[None]:
    """Work that tells when it is done."""
    for _ in range(steps):
        yield
    done.append(name)


async def test_what_has_begun_goes_on_when_the_one_who_began_it_is_cancelled() -> None:
    work, done = StepwiseWork(), list[str]()
    work.add(counting(done, "long", 100))
    first = asyncio.create_task(work.finish())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert first.cancelled()
    assert not done
    await work.finish()
    assert done == ["long"]


async def test_who_finishes_waits_for_what_another_has_begun() -> None:
    work, done = StepwiseWork(), list[str]()
    work.add(counting(done, "long", 100))
    first = asyncio.create_task(work.finish())
    await asyncio.sleep(0)
    await work.finish()
    assert done == ["long"]
    await first


async def test_work_may_be_added_meanwhile() -> None:
    work, done = StepwiseWork(), list[str]()

    def adding() -> Iterator[None]:
        yield
        work.add(counting(done, "added", 3))
        yield

    work.add(adding())
    work.add(counting(done, "other", 2))
    await asyncio.gather(work.finish(), work.finish())
    assert sorted(done) == ["added", "other"]
