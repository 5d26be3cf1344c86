"""Sends on two instances: what each knows of who gets it, and a connection of the other one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from msgspec import Raw

from rtcli_server.cluster.direct import Direct, channel_of, encode_direct, instance_of
from rtcli_server.realtime import RealtimeServer
from tests.support.clients.rooms import connect_ws, join
from tests.support.servers.live_server import LiveServer
from tests.support.servers.two_instances import Pair, enter, http, two_instances

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", params=["redis_of_session", "cluster_of_session"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with two_instances(request.getfixturevalue(request.param)) as instances:
        yield instances


def post(server: LiveServer, path: str, **body: object) -> tuple[int, object]:
    answer = http(server, "POST", f"/api/v1{path}", scope="publish", json=body)
    return answer.status_code, answer.json().get("queued", answer.json().get("code"))


def test_each_instance_counts_its_own(pair: Pair) -> None:
    first, second = pair
    with enter(first, "1", "counted"), enter(first, "2", "counted"), enter(second, "1", "counted"):
        assert post(first, "/rooms/counted/messages", content="x") == (201, {"here": 2})
        assert post(second, "/rooms/counted/messages", content="x") == (201, {"here": 1})
        assert post(second, "/users/2/events", event="x") == (201, {"here": 0})


def test_a_connection_of_the_other_instance(pair: Pair) -> None:
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


def test_exclusions_hold_on_the_other_instance(pair: Pair) -> None:
    first, second = pair
    with (
        enter(second, "1", "mixed") as user,
        enter(second, "2", "mixed") as ws,
        connect_ws(second, "3") as by_id,
    ):
        name = by_id.message()["data"]["connection_id"]
        join(by_id, "mixed")
        excludes: tuple[object, ...] = ({"users": [1]}, {"connections": [name]}, None)
        for exclude in excludes:
            assert post(first, "/rooms/mixed/messages", content="x", exclude=exclude)[0] == 201
        shown = {
            receiver: [receiver.until("new_message", "skipped")["type"] for _ in excludes]
            for receiver in (user, ws, by_id)
        }
        assert shown == {
            user: ["skipped", "new_message", "new_message"],
            ws: ["new_message", "new_message", "new_message"],
            by_id: ["new_message", "skipped", "new_message"],
        }


def test_a_connection_that_is_gone_from_the_other_instance(pair: Pair) -> None:
    """Nobody waits to learn that: where it was, it is known."""
    first, second = pair
    with connect_ws(first, "7") as ws:
        name = ws.message()["data"]["connection_id"]
    first.wait_until(lambda realtime: name not in realtime.hub.clients)
    assert post(second, f"/connections/{name}/events", event="x") == (202, {"here": 0})
    assert post(first, f"/connections/{name}/events", event="x") == (404, "not_found")
    parts = [{"connection": to, "event": "x"} for to in (name, "ffffffff-" + "0" * 12)]
    results = http(second, "POST", "/api/v1/batch", scope="publish", json={"publications": parts}).json()[
        "results"
    ]
    assert [result["status"] for result in results] == [202, 404]


def test_what_comes_too_late_is_dropped(pair: Pair) -> None:
    """An instance that was cut off finds it in the log: it is ephemeral, and nobody waits for it any more."""
    first, second = pair
    with connect_ws(first, "7") as ws:
        name = ws.message()["data"]["connection_id"]
        now_ms = first.ask(lambda realtime: realtime.clock.wall_ms())
        for number, until_ms in enumerate((now_ms - 1, now_ms + 60_000)):
            data = encode_direct(Direct(name, until_ms, Raw(b"{}")))
            second.ask(partial(publish, name=name, event=f"e{number}", data=data))
        assert ws.message()["data"]["event"] == "e1"


def publish(realtime: RealtimeServer, *, name: str, event: str, data: bytes) -> None:
    realtime.broker.publish(channel_of(instance_of(name)), event, data, time_ms=realtime.clock.wall_ms())
