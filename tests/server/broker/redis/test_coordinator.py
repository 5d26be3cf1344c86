"""What instances tell each other: on one Redis, on several, in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest

from rtcli_server.broker import (
    BrokerUnavailableError,
    Coordinator,
    Notification,
    OnNotification,
    PresenceChange,
)
from rtcli_server.broker.coordinator import RoomUsers
from tests.support.brokers.running import Running, running
from tests.support.redis.server import RedisServer
from tests.support.waiting import until

pytestmark = pytest.mark.system

ROOM = "room:lobby"
STORES = ("one", "sharded", "cluster")
LEASE_S = 5.0
_prefixes = count()


@pytest.fixture(scope="module")
def other_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A second Redis: two shards on one would keep the leases of instances in the same place."""
    server = RedisServer(tmp_path_factory.mktemp("other-redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest) -> str:
    prefix = f"?prefix=coordinator{next(_prefixes)}"
    if request.param == "cluster":
        return str(request.getfixturevalue("cluster_of_session").url) + prefix
    names = ["redis_of_session", "other_redis"] if request.param == "sharded" else ["redis_of_session"]
    servers: list[RedisServer] = [request.getfixturevalue(name) for name in names]
    return f"redis://{','.join(f'127.0.0.1:{server.port}' for server in servers)}{prefix}"


def coordinator_of(instance: Running) -> Coordinator:
    coordinator = instance.broker.coordinator
    assert coordinator is not None
    return coordinator


@asynccontextmanager
async def instances(url: str, *listeners: OnNotification) -> AsyncIterator[list[Coordinator]]:
    """Run an instance for each listener; each has sent its heartbeats."""
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(running(url, on_notification=listener)) for listener in listeners
        ]
        for instance in started:
            await instance.wait_ready()
        all_instances = [coordinator_of(instance) for instance in started]
        for coordinator in all_instances * 2:
            await coordinator.heartbeat(LEASE_S)
        for instance in started:
            instance.broker.subscribe(ROOM)
            await instance.page(ROOM, limit=0)  # waits for the subscription: no notification gets lost then
        yield all_instances


def ignore(_channel: str, _notification: Notification) -> None:
    """Listen to nothing."""


def came(**users: str) -> PresenceChange:
    return PresenceChange(users, here=True, gone=())


def left(*users: str, here: bool = False) -> PresenceChange:
    return PresenceChange(dict.fromkeys(users), here=here, gone=())


ASKS = PresenceChange({}, here=None, gone=())


async def test_everyone_who_lives_is_known(url: str) -> None:
    async with instances(url, ignore, ignore) as (one, two):
        reply = await one.heartbeat(0.001)
        assert reply.remembered
        assert reply.alive == {one.instance_id, two.instance_id}
        await asyncio.sleep(0.05)
        assert (await two.heartbeat(LEASE_S)).alive == {two.instance_id}
        again = await one.heartbeat(LEASE_S)
        assert not again.remembered
        assert again.alive == {one.instance_id, two.instance_id}


async def test_a_room_is_one_room(url: str) -> None:
    heard: list[tuple[str, str, str]] = []

    def listen(channel: str, notification: Notification) -> None:
        heard.append((channel, notification.kind, notification.user))

    async with instances(url, listen, ignore) as (one, two):
        assert (await one.update_presence(ROOM, came(a="Ann", b="Bob"), limit=10)).total == 2
        both = await two.update_presence(ROOM, came(a="Ann", c="Cy"), limit=10)
        assert (both.total, sorted(both.users)) == (3, [("a", "Ann"), ("b", "Bob"), ("c", "Cy")])
        assert both.instances == {one.instance_id, two.instance_id}
        assert len((await two.update_presence(ROOM, ASKS, limit=2)).users) == 2
        assert await one.list_rooms([one.instance_id, two.instance_id]) == {ROOM: 3}
        still_on_the_other = await one.update_presence(ROOM, left("a", here=True), limit=0)
        assert still_on_the_other.total == 3
        assert (await two.update_presence(ROOM, left("a", "c"), limit=0)).total == 1
        assert (await one.update_presence(ROOM, left("b"), limit=0)) == (0, frozenset(), [])
        assert await one.list_rooms([one.instance_id, two.instance_id]) == {}
        await until(lambda: len(heard) == 6, "six notifications")
        kinds = [(ROOM, kind, user) for kind, user in (("joined", "a"), ("joined", "b"), ("joined", "c"))]
        assert heard[:3] == kinds
        assert sorted(heard[3:]) == [(ROOM, "left", "a"), (ROOM, "left", "b"), (ROOM, "left", "c")]


async def test_the_users_of_a_dead_instance_are_taken_out(url: str) -> None:
    heard: list[tuple[str, str]] = []

    def listen(_channel: str, notification: Notification) -> None:
        heard.append((notification.kind, notification.user))

    async with instances(url, listen, ignore) as (one, two):
        await one.update_presence(ROOM, came(a="Ann"), limit=0)
        await two.update_presence(ROOM, came(a="Ann", b="Bob"), limit=0)
        two_is_gone = PresenceChange({}, here=None, gone=(two.instance_id,))
        room = await one.update_presence(ROOM, two_is_gone, limit=9)
        assert room == (1, frozenset({one.instance_id}), [("a", "Ann")])
        await until(lambda: heard[-1:] == [("left", "b")], "Bob has left")
        assert heard == [("joined", "a"), ("joined", "b"), ("left", "b")]


async def test_connections_are_added_up(url: str) -> None:
    async with instances(url, ignore, ignore) as (one, two):
        assert await one.update_connections("7", 3, ()) == 0
        assert await two.update_connections("7", 2, ()) == 3
        assert await one.update_connections("7", 0, ()) == 2
        assert await two.update_connections("7", 2, (one.instance_id,)) == 0
        assert await one.update_connections("7", 1, ()) == 2
        assert await one.update_connections("7", 1, (two.instance_id,)) == 0


async def test_tokens_are_taken_from_one_bucket(url: str) -> None:
    async with instances(url, ignore, ignore) as (one, two):
        assert await one.take_tokens("7", 10, 0.1) == pytest.approx(1.0, abs=0.05)
        assert 1.2 < await two.take_tokens("7", 5, 0.1) <= 1.5
        assert await two.take_tokens("8", 1, 0.1) == pytest.approx(0.1, abs=0.05)


async def test_a_notification_is_heard_by_all(url: str) -> None:
    heard: list[Notification] = []

    def listen(_channel: str, notification: Notification) -> None:
        heard.append(notification)

    async with instances(url, listen, listen) as (one, _two):
        notification = Notification("typing", "7", "Ann", is_typing=True, by=one.instance_id)
        one.notify(ROOM, notification)
        await until(lambda: heard == [notification, notification], "both have heard")


async def test_a_listener_that_fails_hears_the_next_one(
    redis_of_session: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def listen(_channel: str, notification: Notification) -> None:
        if not heard:
            heard.append("failed")
            raise RuntimeError("a bug")
        heard.append(notification.user)

    async with instances(f"{redis_of_session.url}?prefix=coordinator{next(_prefixes)}", listen) as (one,):
        for user in ("a", "b"):
            one.notify(ROOM, Notification("typing", user, "x"))
        await until(lambda: heard == ["failed", "b"], "the second one was heard")
        assert "a notification for room:lobby failed" in caplog.text


async def test_what_is_said_to_a_new_redis_must_be_said_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    redis = RedisServer(tmp_path_factory.mktemp("coordinator"))
    redis.start()
    try:
        async with running(redis.url) as instance:
            await instance.wait_ready()
            coordinator = coordinator_of(instance)
            await coordinator.heartbeat(LEASE_S)
            assert (await coordinator.heartbeat(LEASE_S)).remembered
            await coordinator.update_presence(ROOM, came(a="Ann"), limit=0)
            redis.kill()
            with pytest.raises(BrokerUnavailableError):
                await coordinator.heartbeat(LEASE_S)
            coordinator.notify(ROOM, Notification("typing", "a", "Ann"))  # is lost
            redis.start()
            await instance.wait_ready()
            assert not (await coordinator.heartbeat(LEASE_S)).remembered
            assert (await coordinator.update_presence(ROOM, ASKS, limit=9)).total == 0
            await coordinator.update_presence(ROOM, came(a="Ann"), limit=0)
            assert await coordinator.list_rooms([coordinator.instance_id]) == {ROOM: 1}
    finally:
        redis.kill()


async def test_what_others_wrote_among_what_instances_say_is_passed_over(
    redis_of_session: RedisServer,
) -> None:
    prefix = f"coordinator{next(_prefixes)}"
    async with instances(f"{redis_of_session.url}?prefix={prefix}", ignore) as (one,):
        await one.update_presence(ROOM, came(a="Ann"), limit=10)
        await one.update_connections("7", 1, ())
        with redis_of_session.admin as redis:
            redis.zadd(f"{prefix}:{{instances}}", {"not an instance": 9e15})
            redis.hset(f"{prefix}:{{{ROOM}}}:i", "not an instance", "1")
            for user, value in (
                (b"\xff", "x\nBob"),
                ("a\nb", "x\nBob"),
                ("8", "x\n\u202eBob"),
                ("9", "no name"),
            ):
                redis.hset(f"{prefix}:{{{ROOM}}}:u", user, value)
            redis.sadd(f"{prefix}:{{instance:{one.instance_id}}}:r", "not a room", b"room:\xff")
            for number, others in enumerate(("-5", "1e300", "nan", "99999999")):
                redis.hset(f"{prefix}:{{user:7}}:c", f"{number}", others)
            redis.hset(f"{prefix}:{{user:7}}:c", "0a1b2c3d", "2")
            redis.set(f"{prefix}:{{user:7}}:r", "1e300")
        assert (await one.heartbeat(LEASE_S)).alive == {one.instance_id}
        room = await one.update_presence(ROOM, ASKS, limit=10)
        assert room == RoomUsers(1, frozenset({one.instance_id}), [("a", "Ann")])
        assert list(await one.list_rooms([one.instance_id])) == [ROOM]
        assert await one.update_connections("7", 1, ()) == 2
        assert 0 < await one.take_tokens("7", 3, 0.1) <= 0.3
