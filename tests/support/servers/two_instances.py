"""Two instances on one Redis, and users who come to either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx

from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.rooms import open_ws
from tests.support.redis.cluster import RedisCluster
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.waiting import wait_until

Pair = tuple[LiveServer, LiveServer]
LEASE_S = 1.0
_prefixes = count()


@contextmanager
def two_instances(redis: RedisServer | RedisCluster, **settings: object) -> Iterator[Pair]:
    """Run two instances of a deployment of their own; both know each other and are ready."""
    store = f"{redis.url}?prefix=d{next(_prefixes)}"
    chosen = {"store": store, "presence_grace_s": 0.3, "instance_lease_s": LEASE_S, **settings}
    with live_server(**chosen) as first, live_server(**chosen) as second:
        for server in (first, second):
            wait_ready(server)
            server.wait_until(lambda realtime: realtime.instance_count == 2)
        yield first, second


def wait_ready(server: LiveServer) -> None:
    """Wait until an instance takes connections and delivers."""
    wait_until(lambda: http(server, "GET", "/readyz").status_code == httpx.codes.OK)


def prefix_of(server: LiveServer) -> str:
    """What the keys of its deployment begin with."""
    return server.handle.settings.store.rpartition("=")[2]


def http(
    server: LiveServer, method: str, path: str, sub: str = "1", *, scope: str = "", json: object = None
) -> httpx.Response:
    """Ask the HTTP API of one instance."""
    headers = {"Authorization": f"Bearer {token(sub, scope=scope)}"}
    return httpx.request(method, server.url + path, headers=headers, json=json, timeout=20, trust_env=False)


def enter(server: LiveServer, sub: str, room: str, name: str = "") -> RawWebSocket:
    """Connect a user and join a room."""
    ws = open_ws(server, sub, name=name or f"user {sub}")
    ws.send("join_room", room=room)
    ws.until("room_joined")
    return ws


def members(server: LiveServer, room: str) -> set[int]:
    """Who is in a room, as one instance tells it."""
    body: dict[str, Any] = http(server, "GET", f"/api/v1/rooms/{room}/members").json()
    assert body["member_count"] == len(body["members"])
    return {member["user_id"] for member in body["members"]}


def seen_before(ws: RawWebSocket, mark: str, room: str) -> list[tuple[str, Any]]:
    """Publish `mark` and give (type, user id) of everything that came before it."""
    ws.send("chat_message", room=room, content=mark)
    seen: list[tuple[str, Any]] = []
    while True:
        message = ws.message()
        data = message["data"]
        if data.get("content") == mark:
            return seen
        seen.append((message["type"], data.get("user_id", data.get("sender_id"))))
