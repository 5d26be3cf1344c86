"""The wheel: nothing early, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given
from rtcli_server.timing.timer_wheel import Ticker, Wheel


class Item:
    def __init__(self, log: list[tuple[float, Item]], again: float = 0.0) -> None:
        self.slot = 0
        self.log = log
        self.again = again
        self.wheel: Wheel | None = None

    def due(self, now: float) -> None:
        self.log.append((now, self))
        if self.wheel is not None:
            self.wheel.put(self, now + self.again)


@given(
    start=st.floats(0, 1e6),
    delays=st.lists(st.floats(0, 20), max_size=20),
    steps=st.lists(st.floats(0.01, 3), max_size=40),
)
def test_each_is_called_once_and_never_early(start: float, delays: list[float], steps: list[float]) -> None:
    wheel = Wheel(start)
    log: list[tuple[float, Item]] = []
    due_at = {}
    for delay in delays:
        item = Item(log)
        due_at[item] = start + delay
        wheel.put(item, start + delay)
    now = start
    for step in [*steps, 25.0]:
        now += step
        wheel.advance(now)
    assert sorted(map(id, due_at)) == sorted(id(item) for _, item in log)
    assert all(at >= due_at[item] for at, item in log)
    assert len(wheel) == 0


def test_put_again_moves_and_remove_forgets() -> None:
    log: list[tuple[float, Item]] = []
    wheel = Wheel(0.0)
    moved, removed, never = Item(log), Item(log), Item(log)
    wheel.put(moved, 1.0)
    wheel.put(moved, 5.0)
    wheel.put(removed, 1.0)
    wheel.remove(removed)
    wheel.remove(removed)
    wheel.put(never, 1.0)
    wheel.put(never, math.inf)
    wheel.advance(2.0)
    assert log == []
    wheel.advance(6.0)
    assert [item for _, item in log] == [moved]


def test_one_that_puts_itself_again_is_called_once_per_advance() -> None:
    log: list[tuple[float, Item]] = []
    wheel = Wheel(0.0)
    item = Item(log, again=0.0)
    item.wheel = wheel
    wheel.put(item, 0.0)
    for now in (1.0, 2.0, 3.0):
        wheel.advance(now)
    assert [at for at, _ in log] == [1.0, 2.0, 3.0]


def test_one_that_removes_another_of_the_same_slot() -> None:
    log: list[tuple[float, Item]] = []
    wheel = Wheel(0.0)
    first, second = Item(log), Item(log)

    class Remover(Item):
        def due(self, now: float) -> None:
            super().due(now)
            wheel.remove(first)
            wheel.remove(second)

    removers = [Remover(log), Remover(log)]
    for item in (*removers, first, second):
        wheel.put(item, 1.0)
    wheel.advance(2.0)
    assert all(item.slot == 0 for item in (*removers, first, second))
    assert len(wheel) == 0


def test_one_that_raises_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    log: list[tuple[float, Item]] = []
    wheel = Wheel(0.0)

    class Failing(Item):
        def due(self, now: float) -> None:
            raise RuntimeError(str(now))

    for item in (Failing(log), Item(log), Failing(log)):
        wheel.put(item, 1.0)
    wheel.advance(2.0)
    assert len(log) == 1
    assert "a timed action failed" in caplog.text


async def test_the_ticker_ticks_until_stopped() -> None:
    ticked = asyncio.Event()
    wheel = Wheel(0.0, resolution_s=0.01)
    now = iter(range(1_000_000))
    log: list[tuple[float, Item]] = []
    wheel.put(Item(log), 0.5)
    ticker = Ticker(asyncio.get_running_loop(), wheel, lambda: float(next(now)), lambda _now: ticked.set())
    ticker.start()
    await asyncio.wait_for(ticked.wait(), 10)
    ticked.clear()
    await asyncio.wait_for(ticked.wait(), 10)
    ticker.stop()
    ticker.stop()
    assert len(log) == 1
