"""A user's rate over all instances: what was taken is reported, what others took is learnt."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.cluster.shared_rates import SharedRates
from rtcli_server.timing.tasks import BackgroundTasks
from tests.support.fakes.coordinator import FakeCoordinator
from tests.support.waiting import until_idle

RATE_PER_S = 20.0
BURST = 40.0


class World:
    def __init__(self) -> None:
        self.store = FakeCoordinator()
        self.tasks = BackgroundTasks()
        self.rates = SharedRates(RATE_PER_S, BURST, self.store, spawn=self.tasks.spawn)

    def take(self, count: int, user_id: str = "7") -> int:
        """Take up to `count` tokens; return how many there were."""
        return sum(self.rates.take(user_id, 0.0) == 0.0 for _ in range(count))

    async def report(self) -> None:
        self.rates.report(lambda: 0.0)
        await self.rest()

    async def rest(self) -> None:
        await until_idle(self.tasks)


@pytest.fixture
async def world() -> World:
    return World()


async def test_what_was_taken_is_reported_once_it_is_a_tenth_of_a_second(world: World) -> None:
    world.take(1)
    await world.report()
    assert world.store.token_requests == []
    world.take(4)
    world.take(3, "8")
    await world.report()
    await world.report()
    assert world.store.token_requests == [("7", 5, 1 / RATE_PER_S), ("8", 3, 1 / RATE_PER_S)]


async def test_what_others_took_is_gone_from_this_bucket(world: World) -> None:
    assert world.take(5) == 5
    world.store.full_in_s = 30 / RATE_PER_S  # 30 of 40 tokens are gone
    await world.report()
    assert world.take(50) == 10


async def test_what_is_taken_during_a_report_comes_on_top(world: World) -> None:
    world.take(5)
    world.store.open.clear()
    world.store.full_in_s = 30 / RATE_PER_S
    world.rates.report(lambda: 0.0)
    await asyncio.sleep(0)
    assert world.take(4) == 4
    world.store.open.set()
    await world.rest()
    assert world.take(50) == 6


async def test_a_report_that_failed_is_made_with_the_next_one(world: World) -> None:
    world.store.away = True
    world.take(5)
    await world.report()
    world.store.away = False
    world.store.token_requests.clear()
    world.take(2)
    await world.report()
    assert [count for _, count, _ in world.store.token_requests] == [7]
