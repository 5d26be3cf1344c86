"""The timer wheel: no timer fires early, none is lost, none fires twice."""

from __future__ import annotations

import asyncio
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rtcli_server.timing.timer_wheel import Ticker, TimerWheel


class Item:
    def __init__(self, log: list[tuple[float, Item]], again: float = 0.0) -> None:
        self.slot = 0
        self.log = log
        self.again = again
        self.wheel: TimerWheel | None = None

    def on_timer(self, now: float) -> None:
        self.log.append((now, self))
        if self.wheel is not None:
            self.wheel.schedule(self, now + self.again)


@given(
    start=st.floats(0, 1e6),
    delays=st.lists(st.floats(0, 20), max_size=20),
    steps=st.lists(st.floats(0.01, 3), max_size=40),
)
def test_each_is_called_once_and_never_early(start: float, delays: list[float], steps: list[float]) -> None:
    wheel = TimerWheel(start)
    log: list[tuple[float, Item]] = []
    due_at = {}
    for delay in delays:
        item = Item(log)
        due_at[item] = start + delay
        wheel.schedule(item, start + delay)
    now = start
    for step in [*steps, 25.0]:
        now += step
        wheel.advance(now)
    assert sorted(map(id, due_at)) == sorted(id(item) for _, item in log)
    assert all(at >= due_at[item] for at, item in log)
    assert len(wheel) == 0


def test_schedule_again_moves_and_cancel_removes() -> None:
    log: list[tuple[float, Item]] = []
    wheel = TimerWheel(0.0)
    moved, removed, never = Item(log), Item(log), Item(log)
    wheel.schedule(moved, 1.0)
    wheel.schedule(moved, 5.0)
    wheel.schedule(removed, 1.0)
    wheel.cancel(removed)
    wheel.cancel(removed)
    wheel.schedule(never, 1.0)
    wheel.schedule(never, math.inf)
    wheel.advance(2.0)
    assert log == []
    wheel.advance(6.0)
    assert [item for _, item in log] == [moved]


def test_a_timer_that_schedules_itself_again_is_called_once_per_advance() -> None:
    log: list[tuple[float, Item]] = []
    wheel = TimerWheel(0.0)
    item = Item(log, again=0.0)
    item.wheel = wheel
    wheel.schedule(item, 0.0)
    for now in (1.0, 2.0, 3.0):
        wheel.advance(now)
    assert [at for at, _ in log] == [1.0, 2.0, 3.0]


def test_a_timer_that_cancels_others_of_the_same_slot() -> None:
    log: list[tuple[float, Item]] = []
    wheel = TimerWheel(0.0)
    first, second = Item(log), Item(log)

    class Remover(Item):
        def on_timer(self, now: float) -> None:
            super().on_timer(now)
            wheel.cancel(first)
            wheel.cancel(second)

    removers = [Remover(log), Remover(log)]
    for item in (*removers, first, second):
        wheel.schedule(item, 1.0)
    wheel.advance(2.0)
    assert all(item.slot == 0 for item in (*removers, first, second))
    assert len(wheel) == 0


def test_a_timer_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    log: list[tuple[float, Item]] = []
    wheel = TimerWheel(0.0)

    class Failing(Item):
        def on_timer(self, now: float) -> None:
            raise RuntimeError(str(now))

    for item in (Failing(log), Item(log), Failing(log)):
        wheel.schedule(item, 1.0)
    wheel.advance(2.0)
    assert len(log) == 1
    assert "a timer failed" in caplog.text


async def test_the_ticker_ticks_until_stopped() -> None:
    ticked = asyncio.Event()
    wheel = TimerWheel(0.0, resolution_s=0.01)
    now = iter(range(1_000_000))
    log: list[tuple[float, Item]] = []
    wheel.schedule(Item(log), 0.5)
    ticking = asyncio.create_task(Ticker(wheel, lambda: float(next(now)), lambda _now: ticked.set()).run())
    await asyncio.wait_for(ticked.wait(), 10)
    ticked.clear()
    await asyncio.wait_for(ticked.wait(), 10)
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)
    assert len(log) == 1
