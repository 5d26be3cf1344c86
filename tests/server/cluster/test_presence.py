"""How an instance announces who is where: one request at a time, the latest of each user, nothing lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.cluster.membership import ClusterMembership
from rtcli_server.cluster.presence import ClusterPresence
from rtcli_server.delivery.channel import Channel, Subscription
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.timing.tasks import BackgroundTasks
from tests.support.fakes.coordinator import FakeCoordinator
from tests.support.fakes.fanout import FakeSubscriber
from tests.support.waiting import until_idle


class World:
    def __init__(self) -> None:
        self.store = FakeCoordinator()
        self.occupancy = Occupancy()
        self.membership = ClusterMembership()
        self.now = 0.0
        self.tasks = BackgroundTasks()
        self.presence = ClusterPresence(
            self.store, self.occupancy, self.membership, spawn=self.tasks.spawn, now=lambda: self.now
        )

    def enter(self, user_id: str, room: str = "a") -> asyncio.Task[Any]:
        self.occupancy.add(room, user_id, f"user {user_id}", Subscription(Channel(room), FakeSubscriber()))
        return asyncio.ensure_future(self.presence.enter(room, user_id, f"user {user_id}"))

    async def rest(self) -> None:
        await until_idle(self.tasks)


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_thousand_joins_of_one_room_are_two_requests(world: World) -> None:
    world.store.open.clear()
    joins = [world.enter(str(number)) for number in range(1_000)]
    await asyncio.sleep(0)
    world.store.open.set()
    for answer in await asyncio.gather(*joins):
        assert answer.users == [("7", "Ann")]
    assert len(world.store.presence_requests) <= 2
    assert sum(len(users) for _, users, _ in world.store.presence_requests) == 1_000
    assert world.membership.on_heartbeat(frozenset({"me"})) == []
    assert world.membership.on_heartbeat(frozenset({"me"})) == ["you"]  # in the answers, not alive


async def test_of_what_changes_during_a_request_the_latest_is_said(world: World) -> None:
    world.store.open.clear()
    first = world.enter("1")
    await asyncio.sleep(0)
    second = world.enter("2")
    await asyncio.sleep(0)
    world.presence.leave("a", "2", "user 2")
    world.presence.leave("a", "1", "user 1")
    world.store.open.set()
    await asyncio.gather(first, second)
    await world.rest()
    assert [users for _, users, _ in world.store.presence_requests] == [
        {"1": "user 1"},
        {"2": None, "1": None},
    ]


async def test_what_could_not_be_said_is_said_later_unless_it_has_changed(world: World) -> None:
    world.store.away = True
    refused = world.enter("1")
    with pytest.raises(BrokerUnavailableError):
        await refused
    world.presence.leave("a", "2", "user 2")
    await world.rest()
    world.store.away = False
    world.store.presence_requests.clear()
    await world.presence.reannounce()
    await world.rest()
    assert world.store.presence_requests == [("room:a", {"1": "user 1", "2": None}, True)]
    world.store.presence_requests.clear()
    await world.presence.reannounce()
    await world.rest()
    assert world.store.presence_requests == [("room:a", {"1": "user 1"}, True)]


async def test_who_waits_for_a_request_that_fails_is_refused_too(world: World) -> None:
    world.store.open.clear()
    first = world.enter("1")
    await asyncio.sleep(0)
    second = world.enter("2")
    await asyncio.sleep(0)
    world.store.away = True
    world.store.open.set()
    assert all(
        isinstance(outcome, BrokerUnavailableError)
        for outcome in await asyncio.gather(first, second, return_exceptions=True)
    )


async def test_asking_about_a_foreign_room_says_nothing_about_it(world: World) -> None:
    await world.presence.members("elsewhere")
    assert world.store.presence_requests == [("room:elsewhere", {}, None)]


async def test_a_user_who_is_here_is_not_announced_as_gone(world: World) -> None:
    assert not world.presence.repair("a", "1")
    await world.enter("1")
    world.store.presence_requests.clear()
    assert world.presence.repair("a", "1")
    await world.rest()
    assert world.store.presence_requests == [("room:a", {"1": "user 1"}, True)]


async def test_the_list_of_rooms_is_asked_for_once_a_second(world: World) -> None:
    for _ in range(3):
        assert await world.presence.counts() == {"a": 3}
    assert world.store.room_lists == 1
    world.now = 1.5
    await world.presence.counts()
    assert world.store.room_lists == 2
