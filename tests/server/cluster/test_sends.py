"""Sends on two instances: what each knows of who gets it, and a connection of the other one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import Raw

from rtcli_server.cluster.direct import Direct, channel_of, encode_direct, instance_of
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.rooms import connect_ws
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer
from tests.support.servers.two_instances import enter, http, two_instances

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def pair(redis_of_session: RedisServer) -> Iterator[tuple[LiveServer, LiveServer]]:
    with two_instances(redis_of_session) as pair:
        yield pair


def post(server: LiveServer, path: str, **body: object) -> tuple[int, object]:
    answer = http(server, "POST", f"/api/v1{path}", scope="publish", json=body)
    return answer.status_code, answer.json().get("queued", answer.json().get("code"))


def test_each_instance_counts_its_own(pair: tuple[LiveServer, LiveServer]) -> None:
    first, second = pair
    with enter(first, "1", "counted"), enter(first, "2", "counted"), enter(second, "1", "counted"):
        assert post(first, "/rooms/counted/messages", content="x") == (201, {"here": 2})
        assert post(second, "/rooms/counted/messages", content="x") == (201, {"here": 1})
        assert post(second, "/users/2/events", event="x") == (201, {"here": 0})


def test_a_connection_of_the_other_instance(pair: tuple[LiveServer, LiveServer]) -> None:
    first, second = pair
    with connect_ws(first, "7") as ws:
        name = ws.message()["data"]["connection_id"]
        assert post(first, f"/connections/{name}/events", event="here") == (202, {"here": 1, "deployment": 1})
        data: object = {"big": 10**30, "deep": [[[[[[[[[[[[]]]]]]]]]]]]}
        assert post(second, f"/connections/{name}/events", event="there", data=data) == (202, {"here": 0})
        assert ws.message()["data"]["event"] == "here"
        assert ws.message()["data"] == {"event": "there", "data": data}
    gone = "ffffffff-" + "0" * 12
    assert post(second, f"/connections/{gone}/events", event="x") == (404, "not_found")


def test_what_comes_too_late_is_dropped(pair: tuple[LiveServer, LiveServer]) -> None:
    """An instance that was cut off finds it in the log: it is ephemeral, and nobody waits for it any more."""
    first, second = pair
    with connect_ws(first, "7") as ws:
        name = ws.message()["data"]["connection_id"]
        now_ms = first.ask(lambda realtime: realtime.clock.wall_ms())
        for number, until_ms in enumerate((now_ms - 1, now_ms + 60_000)):
            data = encode_direct(Direct(name, until_ms, Raw(b"{}")))
            second.ask(lambda realtime, data=data, event=f"e{number}": publish(realtime, name, event, data))
        assert ws.message()["data"]["event"] == "e1"


def publish(realtime: RealtimeServer, name: str, event: str, data: bytes) -> None:
    realtime.broker.publish(channel_of(instance_of(name)), event, data, time_ms=realtime.clock.wall_ms())
