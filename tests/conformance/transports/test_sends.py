"""Sends over HTTP: to how many connections they are queued, and to one connection alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import connect_ws, join
from tests.support.servers.live_server import LiveServer
from tests.support.servers.two_instances import http

pytestmark = pytest.mark.system


@pytest.fixture
def server(stored_server: LiveServer) -> LiveServer:
    return stored_server


def post(server: LiveServer, path: str, *, scope: str = "publish", **body: object) -> httpx.Response:
    return http(server, "POST", f"/api/v1{path}", "1", scope=scope, json=body)


def opened(server: LiveServer, sub: str, query: str = "") -> tuple[RawWebSocket, str]:
    """A connection, and its name."""
    ws = connect_ws(server, sub, path=f"/api/v1/ws{query}")
    greeting: dict[str, Any] = ws.message()["data"]
    return ws, greeting["connection_id"]


def name_of(stream: EventStream) -> str:
    name: str = json.loads(stream.until("ready").data)["connection_id"]
    return name


def test_answers_say_to_how_many_connections_it_was_queued(server: LiveServer, sub: str, room: str) -> None:
    (first, _), (second, _), (declines, _) = (
        opened(server, sub),
        opened(server, sub),
        opened(server, sub, "?events=0"),
    )
    with first, second, declines, EventStream(server.port, sub=sub, rooms=(room,)) as stream:
        stream.until("ready")
        for ws in (first, declines):
            join(ws, room)
        for path, body, expected in (
            (f"/rooms/{room}/messages", {"content": "x", "id": "1"}, 3),
            (f"/rooms/{room}-empty/messages", {"content": "x"}, 0),
            (
                f"/users/{sub}/events",
                {"event": "x"},
                3,
            ),  # two that wait without a subscription, and the stream
            (f"/users/{sub}/events", {"event": "x"}, 3),  # they have one now
            (f"/users/{sub}9/events", {"event": "x"}, 0),
        ):
            queued = post(server, path, **body).json()["queued"]
            assert queued == {"here": expected, "deployment": expected}, path
        again = post(server, f"/rooms/{room}/messages", content="x", id="1").json()
        assert (again["duplicate"], again["queued"]) == (True, {"here": 0, "deployment": 0})
        everyone = post(server, "/events", event="x").json()["queued"]["here"]
        assert everyone == server.ask(lambda realtime: realtime.fanout.subscription_count("all")) >= 3


def test_an_event_for_one_connection_reaches_that_one_alone(server: LiveServer, sub: str, room: str) -> None:
    (ws, name), (other, _), (declines, silent) = (
        opened(server, sub),
        opened(server, sub),
        opened(server, sub, "?events=0"),
    )
    with ws, other, declines, EventStream(server.port, sub=sub, rooms=(room,)) as stream:
        stream_name = name_of(stream)
        for to in (name, silent, stream_name):
            answer = post(server, f"/connections/{to}/events", event="order.paid", data={"n": 10**30})
            assert (answer.status_code, answer.json()) == (202, {"queued": {"here": 1, "deployment": 1}})
        for receiver in (ws, declines):
            message = receiver.message()
            assert message["type"] == "direct"
            assert message["data"] == {"event": "order.paid", "data": {"n": 10**30}}
            assert message["timestamp"].endswith("Z")
        told = stream.until("direct")
        assert json.loads(told.data) == {"event": "order.paid", "data": {"n": 10**30}}
        assert post(server, f"/users/{sub}/events", event="last").status_code == 201
        for receiver in (ws, other):  # and nothing else came before it
            assert receiver.message()["data"]["event"] == "last"
        last = stream.until("last")
        assert last.id != told.id  # it moved the cursor; the other one did not
        with EventStream(server.port, sub=sub, rooms=(room,), last_event_id=told.id) as resumed:
            resumed.until("ready")
            following = resumed.event()
            assert following is not None
            assert following.event == "last"


def test_sends_to_a_connection_that_cannot_get_it(server: LiveServer, sub: str) -> None:
    ws, name = opened(server, sub)
    with ws:
        assert post(server, f"/connections/{name}/events", scope="", event="x").status_code == 403
        for event in ("ready", "direct", "a b", ""):
            assert post(server, f"/connections/{name}/events", event=event).status_code == 400
        assert post(server, f"/connections/{name}/events", event="x", data=[]).status_code == 400
        large = post(server, f"/connections/{name}/events", event="x", data={"x": "y" * 65_600})
        assert large.status_code == 413
        assert post(server, f"/connections/{name}x/events", event="x").status_code == 404
    server.wait_until(lambda realtime: name not in realtime.hub.clients)
    assert post(server, f"/connections/{name}/events", event="x").status_code == 404


def test_a_batch_sends_to_connections_too(server: LiveServer, sub: str) -> None:
    ws, name = opened(server, sub)
    with ws:
        parts = [{"connection": name, "event": "x", "data": {"n": n}} for n in range(3)]
        results = post(server, "/batch", publications=parts).json()["results"]
        assert results == [{"status": 202, "queued": {"here": 1, "deployment": 1}}] * 3
        assert [ws.message()["data"]["data"]["n"] for _ in range(3)] == [0, 1, 2]
