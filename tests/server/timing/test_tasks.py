"""Background tasks: kept until they are done, cancelled at the end."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.timing.tasks import BackgroundTasks


async def test_what_still_waits_is_cancelled_at_the_end() -> None:
    tasks = BackgroundTasks()
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tasks.spawn(wait())
    await asyncio.sleep(0)
    await tasks.cancel()
    assert cancelled.is_set()


async def test_what_is_done_is_forgotten() -> None:
    tasks = BackgroundTasks()
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    tasks.spawn(work())
    assert len(tasks) == 1
    await done.wait()
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_what_raises_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    tasks = BackgroundTasks()

    async def work() -> None:
        raise ValueError("of all things")

    tasks.spawn(work())
    await tasks.wait()
    await asyncio.sleep(0)
    assert len(tasks) == 0
    assert "ValueError('of all things')" in caplog.text
