"""Users whom nobody writes to cost no subscription, here and in Redis; others miss nothing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.rooms import open_ws
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer
from tests.support.servers.two_instances import http, two_instances
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

USERS = 40


def subscriptions(redis: RedisServer) -> set[bytes]:
    with redis.admin as admin:
        return set(admin.pubsub_channels())


def followed(server: LiveServer) -> int:
    return server.ask(lambda realtime: len(realtime.fanout._channels))


def send(server: LiveServer, user: str, number: int) -> None:
    body = {"event": "news", "data": {"n": number}}
    answer = http(server, "POST", f"/api/v1/users/{user}/events", scope="publish", json=body)
    assert answer.status_code == 201, answer.text


def number_of(ws: RawWebSocket) -> int:
    return int(ws.until("event")["data"]["data"]["n"])


def test_connections_of_many_users_need_no_subscriptions(redis_of_session: RedisServer) -> None:
    with two_instances(redis_of_session) as (here, there), ExitStack() as stack:
        for server in (here, there):
            stack.enter_context(open_ws(server, "first"))
        before, channels = subscriptions(redis_of_session), followed(here)
        sockets = [
            [stack.enter_context(open_ws(server, f"u{user}")) for server in (here, there)]
            for user in range(USERS)
        ]
        assert subscriptions(redis_of_session) == before
        assert followed(here) == channels
        for user in range(0, USERS, 10):  # each is written to from the other instance
            send(there, f"u{user}", user)
            assert [number_of(ws) for ws in sockets[user]] == [user, user]
        assert subscriptions(redis_of_session) == before
        assert followed(here) == channels + USERS // 10


def test_what_pubsub_lost_comes_from_the_log(redis_of_session: RedisServer) -> None:
    """Nobody follows the user's channel: only a comparison finds what is missing after a reconnection."""
    with two_instances(redis_of_session) as (here, there), open_ws(here, "9") as ws:
        for number in range(3):
            with redis_of_session.admin as admin:
                admin.client_kill_filter(_type="pubsub")
            send(there, "9", number)
            assert number_of(ws) == number
            with open_ws(here, "9") as beside:  # dormant too, beside one that follows
                with redis_of_session.admin as admin:
                    admin.client_kill_filter(_type="pubsub")
                send(there, "9", -number)
                assert [number_of(ws), number_of(beside)] == [-number, -number]
            user = f"1{number}"
            with open_ws(here, user) as other:  # dormant when its event is published
                with redis_of_session.admin as admin:
                    admin.client_kill_filter(_type="pubsub")
                send(there, user, number)
                assert number_of(other) == number
        wait_until(lambda: here.ask(lambda realtime: realtime.hub.user_count) == 1)
