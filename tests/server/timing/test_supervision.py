"""The supervisor: every end is noticed, logged with its cause, and followed by a restart or an exit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from rtcli_server.timing.supervision import OnEnd, Supervised, Supervisor
from tests.support.waiting import until

LOOP = Supervised("the loop")
THREAD = Supervised("the thread", OnEnd.EXIT)


class Scripted:
    """A run that ends as it is told, one entry per start; then it runs for ever."""

    def __init__(self, *ends: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._ends = list(ends)
        self.starts = 0

    async def run(self) -> None:
        self.starts += 1
        if self._ends:
            await self._ends.pop(0)()
        else:
            await asyncio.Event().wait()


async def fail() -> None:
    raise ValueError("of all things")


async def return_() -> None:
    return None


async def cancelled_within() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def fail_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """One under which nothing counts as running again for as long as the test lasts."""
    made = Supervisor(first_delay_s=0.01, steady_s=600)
    yield made
    await made.stop()


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (fail, "ValueError('of all things')"),
        (return_, "it returned"),
        (cancelled_within, "something that it waited for was cancelled"),
        (fail_in_a_group, "ValueError('of all things')"),
    ],
)
async def test_an_end_is_logged_and_followed_by_a_restart(
    supervisor: Supervisor,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[], Coroutine[Any, Any, None]],
    cause: str,
) -> None:
    scripted = Scripted(end)
    supervisor.start(LOOP, scripted.run)
    assert not supervisor.failing
    await until(lambda: bool(supervisor.failing), "red")
    assert list(supervisor.failing.values()) == ["the loop"]
    assert f"the loop ended unexpectedly: {cause}; starting it again in 0.0 s" in caplog.text
    await until(lambda: scripted.starts == 2, "a restart")
    assert supervisor.failing, "it has not run for a moment yet"
    assert not supervisor.exit_cause


async def test_what_has_run_for_a_moment_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(first_delay_s=0.01, steady_s=0.01)
    supervisor.start(LOOP, Scripted(fail).run)
    await until(lambda: "the loop runs again" in caplog.text, "green")
    assert not supervisor.failing
    await supervisor.stop()


async def test_what_fails_again_and_again_stays_red_and_is_tried_again(supervisor: Supervisor) -> None:
    scripted = Scripted(fail, fail, fail, fail)
    reds = []
    supervisor.start(LOOP, scripted.run)
    await until(lambda: scripted.starts == 2, "a restart")
    while scripted.starts < 5:
        reds.append(bool(supervisor.failing))
        await asyncio.sleep(0)
    assert all(reds)
    assert supervisor.failing


async def test_one_end_does_not_touch_the_others(supervisor: Supervisor) -> None:
    good, bad = Scripted(), Scripted(fail)
    supervisor.start(LOOP, good.run)
    supervisor.start(LOOP, bad.run)
    await until(lambda: bad.starts == 2, "a restart")
    assert good.starts == 1


async def test_what_cannot_be_started_again_asks_for_the_exit(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    exit_ = asyncio.create_task(supervisor.wait_for_exit())
    scripted = Scripted(fail)
    supervisor.start(THREAD, scripted.run)
    await asyncio.wait_for(exit_, 10)
    assert supervisor.failing
    assert supervisor.exit_cause == "the thread ended unexpectedly: ValueError('of all things')"
    assert "so the server ends" in caplog.text
    await asyncio.sleep(0.1)
    assert scripted.starts == 1


async def test_an_end_that_is_reported_asks_for_the_exit(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.ended(THREAD, KeyError("a"))
    await asyncio.wait_for(supervisor.wait_for_exit(), 10)
    supervisor.ended(LOOP, "it returned")
    assert supervisor.exit_cause == "the thread ended unexpectedly: KeyError('a')", "the first one"
    assert "the loop ended unexpectedly: it returned" in caplog.text
    assert len(supervisor.failing) == 2


async def test_ends_that_are_expected_are_nothing_to_speak_of(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    go = asyncio.Event()

    async def until_go() -> None:
        await go.wait()

    task = supervisor.start(LOOP, until_go)
    supervisor.expect_ends()
    go.set()
    await asyncio.wait_for(task, 10)
    supervisor.ended(THREAD, "it returned")
    assert not supervisor.failing
    assert not supervisor.exit_cause
    assert caplog.text == ""


@pytest.mark.parametrize("raises", [False, True])
async def test_a_cancelled_task_ends_for_good(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture, *, raises: bool
) -> None:
    started = asyncio.Event()

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            if raises:
                raise ValueError("while it was cancelled")

    task = supervisor.start(LOOP, run)
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.done()
    assert not supervisor.failing
    assert caplog.text == ""


async def test_stopping_ends_also_what_is_about_to_be_started_again() -> None:
    supervisor = Supervisor(first_delay_s=60)
    scripted = Scripted(fail)
    task = supervisor.start(LOOP, scripted.run)
    await until(lambda: bool(supervisor.failing), "red")
    await supervisor.stop()
    assert task.done()
    assert scripted.starts == 1
