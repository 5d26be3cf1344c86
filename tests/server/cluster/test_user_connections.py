"""A user's connections over all instances: announced, counted together, closed above the limit."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.cluster.membership import ClusterMembership
from rtcli_server.cluster.user_connections import UserConnections
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.timing.tasks import BackgroundTasks
from tests.support.fakes.coordinator import FakeCoordinator
from tests.support.waiting import until_idle


@dataclass(frozen=True)
class Connection:
    connection_id: str
    user_id: str = "7"


class World:
    def __init__(self) -> None:
        self.store = FakeCoordinator()
        self.caps = ConnectionCaps(node=None, user=None, address=None, rng=random.Random(1))
        self.tasks = BackgroundTasks()
        self.rejected: list[str] = []
        self.now = 0.0
        self.connections = UserConnections(
            self.store,
            ClusterMembership(),
            self.caps,
            limit=2,
            probation_s=10.0,
            reject=self.rejected.append,
            spawn=self.tasks.spawn,
            now=lambda: self.now,
        )

    def open(self, connection: Connection) -> Connection:
        self.caps.add(connection.user_id, "")
        self.connections.opened(connection)
        return connection

    def close(self, connection: Connection) -> None:
        self.caps.remove(connection.user_id, "")
        self.connections.closed(connection)

    async def rest(self) -> None:
        await until_idle(self.tasks)


@pytest.fixture
async def world() -> World:
    return World()


async def test_each_change_is_announced_and_changes_during_a_request_together(world: World) -> None:
    world.store.open.clear()
    first = world.open(Connection("c1"))
    await asyncio.sleep(0)
    world.open(Connection("c2"))
    world.close(first)
    world.store.open.set()
    await world.rest()
    assert world.store.connection_requests == [("7", 1), ("7", 1)]
    assert world.rejected == []


async def test_the_newest_connections_over_the_limit_are_closed(world: World) -> None:
    world.store.connections_elsewhere = 1
    world.open(Connection("c1"))
    await world.rest()
    assert world.rejected == []
    world.open(Connection("c2"))
    world.open(Connection("c3"))
    await world.rest()
    assert world.rejected == ["c2", "c3"]
    assert world.store.connection_requests[-1] == ("7", 1), "they are gone for all others"


async def test_a_place_is_not_spent_on_a_connection_that_is_closed_already(world: World) -> None:
    world.store.connections_elsewhere = 2
    world.store.open.clear()
    first = world.open(Connection("c1"))
    await asyncio.sleep(0)
    world.open(Connection("c2"))
    gone = world.open(Connection("c3"))
    world.close(gone)
    world.close(first)
    world.store.open.set()
    await world.rest()
    assert world.rejected == ["c2"]


async def test_newcomers_are_judged_when_redis_is_back(world: World) -> None:
    world.store.connections_elsewhere = 1
    world.store.away = True
    for name in ("c1", "c2", "c3"):
        world.open(Connection(name))
    await world.rest()
    assert world.rejected == []
    world.store.away = False
    await world.connections.reannounce()
    await world.rest()
    assert world.rejected == ["c2", "c3"]


@pytest.mark.parametrize(("later_s", "rejected"), [(9.0, ["c1", "c2"]), (11.0, [])])
async def test_newcomers_are_counted_again_with_those_that_the_store_had_forgotten(
    world: World, later_s: float, rejected: list[str]
) -> None:
    world.open(Connection("c1"))
    world.open(Connection("c2"))
    await world.rest()
    world.store.connections_elsewhere = 2
    world.now += later_s
    world.open(Connection("d1", "8"))  # another user
    world.close(Connection("d1", "8"))
    await world.rest()
    await world.connections.reannounce()
    await world.rest()
    assert world.rejected == rejected


async def test_a_rejected_connection_takes_no_place_while_it_is_closing(world: World) -> None:
    world.store.connections_elsewhere = 1
    first = world.open(Connection("c1"))
    world.open(Connection("c2"))
    await world.rest()
    assert world.rejected == ["c2"]
    world.close(first)
    world.open(Connection("c3"))
    await world.rest()
    assert world.rejected == ["c2"]


async def test_what_could_not_be_announced_is_announced_again(world: World) -> None:
    world.store.away = True
    only = world.open(Connection("c1"))
    await world.rest()
    world.close(only)
    await world.rest()
    with pytest.raises(BrokerUnavailableError):
        await world.connections.count_elsewhere("7")
    world.store.away = False
    world.store.connection_requests.clear()
    await world.connections.reannounce()
    await world.rest()
    assert world.store.connection_requests == [("7", 0)], "also of a user who has none here any more"
    await world.connections.reannounce()
    await world.rest()
    assert len(world.store.connection_requests) == 1
