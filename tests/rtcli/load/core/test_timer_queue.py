from __future__ import annotations

import asyncio
import itertools
from time import monotonic_ns

import pytest

from rtcli.load.core.timer_queue import TimerQueue


def fail(error: Exception) -> None:
    pytest.fail(str(error))


def now() -> int:
    return monotonic_ns() // 1000


async def test_calls_come_in_the_order_of_their_times_and_not_before() -> None:
    timers = TimerQueue(fail)
    called: list[tuple[int, int]] = []
    done = asyncio.Event()
    start = now()
    for after in (9_000, 3_000, 6_000, 3_000, -5):
        timers.call_at(start + after, lambda when: called.append((when - start, now() - start)))
    timers.call_at(start + 12_000, lambda _when: done.set())
    await asyncio.wait_for(done.wait(), 10)
    assert [due for due, _ in called] == [-5, 3_000, 3_000, 6_000, 9_000]
    assert all(at >= due for due, at in called)


async def test_calls_may_plan_further_calls() -> None:
    timers = TimerQueue(fail)
    seen: list[int] = []
    done = asyncio.Event()

    def call(when: int) -> None:
        seen.append(when)
        if len(seen) == 50:
            done.set()
        else:
            timers.call_at(when + 100, call)

    timers.call_at(now(), call)
    await asyncio.wait_for(done.wait(), 10)
    assert [later - earlier for earlier, later in itertools.pairwise(seen)] == [100] * 49


async def test_many_calls_at_once_leave_room_for_others() -> None:
    timers = TimerQueue(fail)
    calls = 0
    turns = 0

    def call(_when: int) -> None:
        nonlocal calls
        calls += 1
        end = now() + 200
        while now() < end:
            pass

    for _ in range(200):
        timers.call_at(now(), call)
    while calls < 200:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 5  # 40 ms of work, in slices of 2 ms


async def test_sleep_and_stop() -> None:
    timers = TimerQueue(fail)
    start = now()
    await timers.sleep_until(start + 5_000)
    assert now() - start >= 5_000
    seen: list[int] = []
    timers.call_at(now() + 1_000, seen.append)
    timers.stop()
    timers.call_at(now(), seen.append)
    await asyncio.sleep(0.01)
    assert not seen


async def test_a_callback_that_raises_does_not_hold_up_the_others() -> None:
    errors: list[Exception] = []
    timers = TimerQueue(errors.append)
    done = asyncio.Event()

    def raise_it(_when: int) -> None:
        raise KeyError("x")

    start = now()
    timers.call_at(start, raise_it)
    timers.call_at(start, lambda _when: timers.call_at(start + 2_000, raise_it))
    timers.call_at(start + 4_000, lambda _when: done.set())
    await asyncio.wait_for(done.wait(), 10)
    assert [type(error) for error in errors] == [KeyError, KeyError]
