"""Connections that wait for personal events without a subscription, when Redis does not have what it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.clients.rooms import connect_ws
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server
from tests.support.servers.two_instances import http

pytestmark = pytest.mark.system

META, STREAM = "rt:{user:7}:m", "rt:{user:7}:s"


def lose_last(redis: RedisServer) -> None:
    """Forget the last event of the user, as after a failover to a replica that did not have it."""
    with redis.admin as admin:
        top = int(admin.hget(META, "top") or 0)
        admin.xdel(STREAM, f"{top}-0")
        admin.execute_command("XSETID", STREAM, f"{top - 1}-0")
        admin.hset(META, "top", str(top - 1))


def lose_all(redis: RedisServer) -> None:
    """Forget everything, as after a restart without persistence."""
    redis.command("FLUSHALL")


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


def publish(server: LiveServer, number: int) -> None:
    """Publish an event of the user, and wait for its place in the log."""
    event = {"event": "news", "data": {"n": number}}
    answer = http(server, "POST", "/api/v1/users/7/events", scope="publish", json=event)
    assert answer.status_code == httpx.codes.CREATED


@pytest.mark.parametrize(("lose", "earlier"), [(lose_last, 3), (lose_all, 3), (lose_all, 0)])
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
