"""Connections that wait for personal events without a subscription, when the log has lost some or is away."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest
from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.position import Position, parse_position
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.connections.hub import Client, Hub
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics
from rtcli_server.realtime import personal_events
from rtcli_server.realtime.personal_events import PersonalEvents
from rtcli_server.timing.tasks import BackgroundTasks
from tests.support.clients.rooms import connect_ws
from tests.support.redis.lost_writes import lose_all, lose_last
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server
from tests.support.servers.two_instances import http

pytestmark = pytest.mark.system

TOP = Position("k3f9", 7)


@pytest.fixture
def server(redis_of_session: RedisServer) -> Iterator[LiveServer]:
    redis_of_session.command("FLUSHALL")
    with live_server(store=redis_of_session.url) as server:
        server.wait_until(lambda realtime: realtime.instance_count > 0)
        yield server


@pytest.fixture
def full_redis(redis_of_session: RedisServer) -> Iterator[Callable[[], object]]:
    """Call it, and Redis refuses every write until the end of the test."""
    redis_of_session.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    yield lambda: redis_of_session.command("CONFIG", "SET", "maxmemory", "1")
    redis_of_session.command("CONFIG", "SET", "maxmemory", "0")


def lose_last_of_user(redis: RedisServer) -> None:
    lose_last(redis, "user:7")


def publish(server: LiveServer, number: int) -> None:
    """Publish an event of the user, and wait for its place in the log."""
    event = {"event": "news", "data": {"n": number}}
    answer = http(server, "POST", "/api/v1/users/7/events", scope="publish", json=event)
    assert answer.status_code == httpx.codes.CREATED


@pytest.mark.parametrize(("lose", "earlier"), [(lose_last_of_user, 3), (lose_all, 3), (lose_all, 0)])
def test_an_event_after_lost_writes_is_given_and_the_loss_is_told(
    server: LiveServer, redis_of_session: RedisServer, lose: Callable[[RedisServer], None], earlier: int
) -> None:
    """Its position must not be one that the connection was told, or else it would pass for given already."""
    for number in range(earlier):
        publish(server, number)
    with connect_ws(server) as ws:
        start = ws.message()["data"]["channels"]["~me"]["position"]
        lose(redis_of_session)
        publish(server, 99)
        told = [ws.message() for _ in range(2)]
        assert [message["type"] for message in told] == ["gap", "event"]
        gap, event = (message["data"] for message in told)
        assert (gap["room"], gap["from"], gap["reason"]) == ("~me", start, "epoch_changed")
        assert gap["to"] == f"{event['epoch']}-0"
        assert event["data"] == {"n": 99}


def test_a_full_redis_takes_users_whom_it_knows_and_others_come_back(
    server: LiveServer, full_redis: Callable[[], object]
) -> None:
    with connect_ws(server, "8") as ws:
        known = ws.message()["data"]["cursor"]
    full_redis()
    with connect_ws(server, "8", path=f"/api/v1/ws?last_event_id={known}") as ws:
        assert ws.message()["data"]["recovered"] is True
    with connect_ws(server, "9") as ws:
        closing = ws.message()
        assert (closing["type"], closing["data"]["code"]) == ("closing", 1013)
    with connect_ws(server, "9", path="/api/v1/ws?events=0") as ws:
        assert ws.message()["data"]["message"] == "Connected"


def test_an_event_that_comes_while_the_log_answers_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log was asked before it, and its answer is late: nobody follows the channel meanwhile."""
    asked, answer = threading.Event(), threading.Event()
    with live_server() as server:
        broker = server.handle.realtime.broker
        history = broker.history

        async def late(channel: str, *, since: Position | None, limit: int) -> HistoryPage:
            page = await history(channel, since=since, limit=limit)
            asked.set()
            await asyncio.to_thread(answer.wait, 10)
            return page

        monkeypatch.setattr(broker, "history", late)
        with connect_ws(server) as ws:
            assert asked.wait(10)
            publish(server, 1)
            answer.set()
            assert ws.message()["data"]["channels"]["~me"]["position"].endswith("-0")
            assert ws.message()["data"]["data"] == {"n": 1}


class Dormant(Client):
    """A connection that was told everything up to `TOP`, and records that it was woken."""

    transport = "websocket"
    address = "192.0.2.1"

    def __init__(self, user_id: str) -> None:
        self.connection_id = self.user_id = user_id
        self.woken = asyncio.Event()

    @property
    @override
    def waiting_bytes(self) -> int:
        return 0

    @property
    @override
    def dormant_at(self) -> Position | None:
        return None if self.woken.is_set() else TOP

    @override
    def wake(self) -> None:
        self.woken.set()

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        raise AssertionError("nobody closes it")

    @override
    def abort(self) -> None:
        raise AssertionError("nobody closes it")


class Told(Dormant):
    """One that was told of everything up to `position`, if that is known."""

    def __init__(self, name: str, position: Position | None) -> None:
        super().__init__("7")
        self.connection_id = name
        self._position = position

    @property
    @override
    def told_events_to(self) -> Position | None:
        return self._position


async def test_a_comparison_goes_on_until_the_log_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is behind would else wait for the next comparison, 40 s later."""
    monkeypatch.setattr(personal_events, "RETRY_S", 0.01)
    caps = ConnectionCaps(node=100, user=None, address=None, rng=random.Random(1))
    hub = Hub(caps, Metrics(lambda: 0.0, tick_s=0.1))
    clients = [Dormant(f"u{number}") for number in range(4)]
    for client in clients:
        hub.add(client)
    refusals = {"user:u0": 3, "user:u2": 1}

    async def history(channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        assert (since, limit) == (None, 0)
        if refusals.get(channel):
            refusals[channel] -= 1
            raise BrokerUnavailableError("away")
        return HistoryPage([], TOP if channel == "user:u3" else TOP._replace(offset=8))

    tasks = BackgroundTasks()
    PersonalEvents(hub, history, spawn=tasks.spawn).missed()
    async with asyncio.timeout(10):
        await asyncio.gather(*(client.woken.wait() for client in clients[:3]))
    assert refusals == {"user:u0": 0, "user:u2": 0}
    assert not clients[3].woken.is_set()
    await tasks.cancel()


def test_what_each_epoch_has_told_counts_for_itself() -> None:
    """One has not read yet that its epoch is over, and is far ahead in it."""
    caps = ConnectionCaps(node=100, user=None, address=None, rng=random.Random(1))
    hub = Hub(caps, Metrics(lambda: 0.0, tick_s=0.1))
    for number, told in enumerate(("k3f9-100", "m4g8-3", "m4g8-2")):
        hub.add(Told(f"c{number}", parse_position(told)))
    hub.add(Told("d", None))
    seen = PersonalEvents(hub, history_of_nothing, spawn=BackgroundTasks().spawn).positions("user:7")
    assert sorted(seen) == [Position("k3f9", 100), Position("m4g8", 3)]


async def history_of_nothing(channel: str, *, since: Position | None, limit: int) -> HistoryPage:
    raise AssertionError(f"{channel}, {since}, {limit}: nobody reads it")
