"""Memory is given back after connections have ended, and seldom where that frees nothing."""

from __future__ import annotations

from rtcli_server.process.memory_return import (
    ENDED,
    INTERVAL_S,
    MAX_INTERVAL_S,
    WORTH_BYTES,
    MemoryReturn,
    resident_bytes,
    trim_heap,
)
from rtcli_server.timing.timer_wheel import TimerWheel


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.ended = 0
        self.resident = 100 * WORTH_BYTES
        self.frees = WORTH_BYTES
        self.given_back: list[float] = []
        self.wheel = TimerWheel(self.now)
        timer = MemoryReturn(
            self.wheel,
            ended=lambda: self.ended,
            give_back=self.give_back,
            resident_bytes=lambda: self.resident,
        )
        timer.start(self.now)

    def give_back(self) -> None:
        self.given_back.append(round(self.now, 1))
        self.resident -= self.frees

    def run(self, seconds: float, *, ended_per_s: int = 0) -> list[float]:
        self.given_back = []
        for _ in range(round(seconds)):
            self.now += 1.0
            self.ended += ended_per_s
            self.wheel.advance(self.now)
        return self.given_back


def test_nothing_is_done_while_few_connections_end() -> None:
    world = World()
    world.ended = ENDED - 1
    assert world.run(100) == []


def test_what_a_flood_held_is_given_back_once_and_soon() -> None:
    world = World()
    world.ended = ENDED
    given_back = world.run(100)
    assert len(given_back) == 1
    assert given_back[0] <= 100.0 + INTERVAL_S + 1


def test_it_is_done_seldom_where_it_frees_little_and_often_again_where_it_does() -> None:
    world = World()
    world.frees = WORTH_BYTES - 1
    world.run(200, ended_per_s=ENDED)
    assert len(world.run(300, ended_per_s=ENDED)) <= 300 / MAX_INTERVAL_S
    world.frees = WORTH_BYTES
    world.run(MAX_INTERVAL_S + 1, ended_per_s=ENDED)
    assert len(world.run(10, ended_per_s=ENDED)) >= 3


def test_this_process_has_memory_and_a_heap() -> None:
    assert resident_bytes() > WORTH_BYTES
    trim_heap()
