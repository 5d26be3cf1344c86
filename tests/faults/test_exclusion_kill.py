"""A server is killed as soon as it has taken publications that exclude somebody: afterwards they still do."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients.peers import token
from tests.support.clients.raw_http import RawWebSocket
from tests.support.clients.raw_sse import EventStream
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import ServerProcess

pytestmark = pytest.mark.system

TURNS, SOAK_TURNS = 3, 50
EXCLUDED, OTHER = "7", "8"
MINE = ("new_message", "skipped", "event", "news")


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'rt.db'}"
    redis: RedisServer = request.getfixturevalue("redis_of_session")
    redis.command("FLUSHALL")
    return redis.url


def by_channel(places: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """One channel after the other, each in the order in which it came."""
    return sorted(places, key=lambda place: place[0])


class WebSocketReader:
    """A member of the room that takes its cursor from one connection to the next."""

    def __init__(self, sub: str) -> None:
        self._sub = sub
        self._cursor = ""
        self._ws: RawWebSocket | None = None

    def connect(self, server: ServerProcess) -> None:
        self.close()
        path = f"/api/v1/ws?token={token(self._sub)}&last_event_id={self._cursor}"
        self._ws = RawWebSocket(server.port, path)
        greeting = self._ws.message()["data"]
        assert greeting.get("recovered") in {None, True}, greeting
        self._ws.send("join_room", room="a")  # the events that were missed come before the reply

    def close(self) -> None:
        if self._ws is not None:
            self._ws.sock.close()

    def read(self, count: int) -> list[tuple[str, str, int]]:
        assert self._ws is not None
        seen = [self._ws.until(*MINE) for _ in range(count)]
        self._ws.send("cursor", "c")
        self._cursor = self._ws.until("cursor")["data"]["cursor"]
        return by_channel(map(_place, seen))


def _place(message: dict[str, Any]) -> tuple[str, str, int]:
    data = message["data"]
    kind = "skipped" if message["type"] == "skipped" else "shown"
    channel = data.get("room", "~all" if data.get("channel") == "all" else "~me")
    return channel, kind, data["offset"]


class StreamReader:
    """The same over event streams."""

    def __init__(self, sub: str) -> None:
        self._sub = sub
        self._cursor: str | None = None
        self._stream: EventStream | None = None

    def connect(self, server: ServerProcess) -> None:
        self.close()
        self._stream = EventStream(
            server.port, rooms=("a",), bearer=token(self._sub), last_event_id=self._cursor
        )
        ready = self._stream.until("ready")
        assert json.loads(ready.data).get("recovered") in {None, True}
        self._cursor = ready.id

    def close(self) -> None:
        if self._stream is not None:
            self._stream.sock.close()

    def read(self, count: int) -> list[tuple[str, str, int]]:
        assert self._stream is not None
        seen: list[tuple[str, str, int]] = []
        while len(seen) < count:
            event = self._stream.event()
            assert event is not None
            if event.event in MINE:
                self._cursor = event.id
                channel, _, position = event.id.partition(",")[0].partition("=")
                shown = "skipped" if event.event == "skipped" else "shown"
                assert shown == "shown" or json.loads(event.data)["room"] == channel
                seen.append((channel, shown, int(position.partition("-")[2])))
        return by_channel(seen)


def publish_all(server: ServerProcess, number: int) -> None:
    """One that excludes a user and one that excludes nobody, in each channel; the log has them."""
    headers = {"Authorization": f"Bearer {token('app', scope='publish')}"}
    parts: list[dict[str, object]] = []
    for exclude in ({"users": [EXCLUDED]}, None):
        parts += [
            {"room": "a", "content": f"{number}", "exclude": exclude},
            {"event": "news", "user": EXCLUDED, "exclude": exclude},
            {"event": "news", "exclude": exclude},
        ]
    answer = httpx.post(
        f"{server.url}/api/v1/batch", json={"publications": parts}, headers=headers, trust_env=False
    )
    assert [result["status"] for result in answer.json()["results"]] == [201] * len(parts), answer.text


def expected(turn: int, sub: str) -> list[tuple[str, str, int]]:
    """What a reader gets of a turn."""
    hidden, open_ = 2 * turn + 1, 2 * turn + 2
    channels = ["a", "~all"] + (["~me"] if sub == EXCLUDED else [])
    kind = "skipped" if sub == EXCLUDED else "shown"
    return by_channel(place for name in channels for place in ((name, kind, hidden), (name, "shown", open_)))


@pytest.mark.timeout(600)
def test_what_was_excluded_before_a_kill_stays_so(tmp_path: Path, store: str, soak: bool) -> None:
    server = ServerProcess(tmp_path, store, "--user-connections", "off")  # of killed servers some count
    readers = [(sub, kind(sub)) for sub in (EXCLUDED, OTHER) for kind in (WebSocketReader, StreamReader)]
    try:
        server.start_now()
        for _, reader in readers:
            reader.connect(server)
            reader.read(0)
        for turn in range(SOAK_TURNS if soak else TURNS):
            publish_all(server, turn)
            server.stop(signal.SIGKILL)  # whatever was written to them: they resume from before it
            server.start_now()
            for sub, reader in readers:
                reader.connect(server)
                wanted = expected(turn, sub)
                assert reader.read(len(wanted)) == wanted, (turn, sub, reader)
    finally:
        for _, reader in readers:
            reader.close()
        server.kill()
