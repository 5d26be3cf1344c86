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
        self.connections = UserConnections(
            self.store,
            ClusterMembership(),
            self.caps,
            limit=2,
            reject=self.rejected.append,
            spawn=self.tasks.spawn,
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
