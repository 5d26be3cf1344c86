"""Heartbeats, and when everything is announced again."""

from __future__ import annotations

import asyncio
import random

import pytest

from rtcli_server.cluster.heartbeat import REPEATS, HeartbeatLoop, settling_s
from rtcli_server.cluster.membership import ClusterMembership
from tests.support.fakes.coordinator import FakeCoordinator

LEASE_S = 0.02


class World:
    def __init__(self) -> None:
        self.store = FakeCoordinator()
        self.membership = ClusterMembership()
        self.now = 0.0
        self.announced = 0
        self.loop = HeartbeatLoop(
            self.store,
            self.membership,
            [self.announce],
            lease_s=LEASE_S,
            now=lambda: self.now,
            rng=random.Random(1),
        )

    async def announce(self) -> None:
        self.announced += 1

    async def beats(self, count: int) -> int:
        """Run until `count` more heartbeats were answered; return how often all was announced meanwhile."""
        before = self.announced
        until = len(self.store.leases) + count
        running = asyncio.create_task(self.loop.run())
        async with asyncio.timeout(10):
            while len(self.store.leases) <= until:
                self.store.heartbeat_came.clear()
                await self.store.heartbeat_came.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self.announced - before


@pytest.fixture
async def world() -> World:
    return World()


async def test_while_all_is_well_nothing_is_announced_again(world: World) -> None:
    assert await world.beats(5) == 0
    assert set(world.store.leases) == {LEASE_S}
    assert world.membership.alive == {"me"}


async def test_what_the_store_may_have_lost_is_announced_again_twice(world: World) -> None:
    world.store.away = True
    await world.beats(1)
    world.store.away = False
    assert await world.beats(6) == REPEATS


async def test_all_is_announced_once_more_when_the_others_have_done_so(world: World) -> None:
    world.store.away = True
    await world.beats(1)
    world.store.away = False
    assert await world.beats(6) == REPEATS
    world.now += settling_s(LEASE_S)
    assert await world.beats(6) == 1


async def test_an_instance_that_the_store_forgot_announces_again(world: World) -> None:
    world.store.remembered = False
    assert await world.beats(4) >= REPEATS


async def test_the_death_of_another_instance_is_a_reason_to_announce_again(world: World) -> None:
    world.store.alive = frozenset({"me", "you"})
    await world.beats(1)
    world.store.alive = frozenset({"me"})
    assert await world.beats(6) == 1
    assert world.membership.dead == ("you",)


async def test_what_would_expire_is_announced_again(world: World) -> None:
    await world.beats(1)
    world.now = world.store.ttl_s / 3 + 1
    assert await world.beats(5) == 1


async def test_a_goodbye_keeps_the_users_for_a_while(world: World) -> None:
    await world.loop.leave(35.0)
    world.store.away = True
    await world.loop.leave(35.0)  # the lease ends by itself
    assert world.store.leases == [35.0, 35.0]
