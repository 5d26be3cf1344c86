"""Work for many connections is spread over turns of the loop, first come, first served."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.transports.http.turns import Turns


class Connection:
    def __init__(
        self, name: str, done: list[str], clock: list[float], cost_s: float = 0.0, *, fails: bool = False
    ) -> None:
        self.name = name
        self._done = done
        self._clock = clock
        self._cost_s = cost_s
        self._fails = fails

    def step(self) -> None:
        self._done.append(self.name)
        self._clock[0] += self._cost_s
        if self._fails:
            raise RuntimeError(self.name)

    def cut_off(self) -> None:
        self._done.append(f"{self.name} is cut")


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_few_steps_are_done_at_once() -> None:
    done: list[str] = []
    clock = [0.0]
    turns = Turns(max_steps=2, max_s=1.0, now=lambda: clock[0])
    for _ in range(3):
        assert turns.run(Connection("a", done, clock))
        assert turns.run(Connection("b", done, clock))
        await turn()
        await turn()
    assert done == ["a", "b"] * 3


async def test_more_steps_wait_for_later_turns_in_order() -> None:
    done: list[str] = []
    clock = [0.0]
    turns = Turns(max_steps=2, max_s=1.0, now=lambda: clock[0])
    names = [str(number) for number in range(7)]
    at_once = [turns.run(Connection(name, done, clock)) for name in names]
    assert at_once == [True, True, *[False] * 5]
    assert done == names[:2]
    await turn()
    assert not turns.run(Connection("late", done, clock)), "it may not overtake"
    assert done == names[:4]
    for _ in range(4):
        await turn()
    assert done == [*names, "late"]


async def test_a_turn_has_a_time() -> None:
    done: list[str] = []
    clock = [0.0]
    turns = Turns(max_steps=100, max_s=1.0, now=lambda: clock[0])
    for name in "abcde":
        turns.run(Connection(name, done, clock, cost_s=0.6))
    assert done == ["a", "b"]
    await turn()
    assert done == ["a", "b", "c", "d"]
    await turn()
    assert done == ["a", "b", "c", "d", "e"]


async def test_a_step_that_raises_is_logged_and_cut_and_the_turn_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    clock = [0.0]
    turns = Turns(max_steps=2, max_s=1.0, now=lambda: clock[0])
    for name in "abcd":
        turns.run(Connection(name, done, clock, fails=name in "ac"))
    assert done == ["a", "a is cut", "b"]
    await turn()
    assert done[3:] == ["c", "c is cut", "d"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
