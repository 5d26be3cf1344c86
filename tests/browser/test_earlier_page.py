"""A page of the earlier JavaScript server, unchanged, while this one is killed and started again on its log.

The page comes from the application's own server. It has the cookie for its event streams, and says a token in
the query of its WebSocket. docs/protocol.md, section 9, says what it gets.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Page

from rtcli.protocol.position import Position, parse_position
from rtcli.protocol.tokens import create_token
from tests.support.clients.pages import eventually
from tests.support.faults.crowd import SOON_BACK
from tests.support.http.threaded import reply, threaded_http
from tests.support.paths import NODE
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.waiting import until

pytestmark = pytest.mark.system

ROOM = "Café, 100 % #1"
USER = "7"
KINDS = ("room", "personal", "broadcast")
PAUSE_S = (
    0.02  # between publications: what comes while the server starts stays below what a resume may replay
)
Told = list[dict[str, Any]]


def token(sub: str, scope: str | None = None) -> str:
    return create_token(SECRET, sub=sub, now=time.time(), scope=scope)


def answer(request: BaseHTTPRequestHandler) -> None:
    """What the application's server answers."""
    name = request.path.removeprefix("/")
    if name in {"earlier_page.mjs", "earlier_chat.mjs"}:
        return reply(request, 200, (NODE / name).read_bytes(), Content_Type="text/javascript")
    html = b'<!doctype html><title>Earlier</title><script type="module" src="/earlier_page.mjs"></script>'
    return reply(request, 200, html, Content_Type="text/html")


@pytest.fixture
def application() -> Iterator[str]:
    with threaded_http(answer) as url:
        yield url


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A log that outlives the server."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'rt.db'}"
    redis: RedisServer = request.getfixturevalue("redis_of_session")
    redis.command("FLUSHALL")
    return redis.url


class Application:
    """It publishes numbers of each kind, one after the other; what is not acknowledged, again with its id."""

    def __init__(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {token('application', scope='admin')}"}
        self._http = httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, trust_env=False, timeout=30)
        self._numbers = {kind: count() for kind in KINDS}
        self.published = dict.fromkeys(KINDS, 0)
        self._tasks: list[asyncio.Task[None]] = []

    async def publish(self, kind: str) -> None:
        """Publish the next number of a kind, however long that takes."""
        number = next(self._numbers[kind])
        path = {
            "room": "/rooms/Caf%C3%A9%2C%20100%20%25%20%231/messages",
            "personal": f"/users/{USER}/events",
        }
        body: dict[str, object] = {"id": f"{kind}-{number}", "event": "news", "data": {kind: number}}
        if kind == "room":
            body["content"] = f"{number}"
        while True:
            try:
                status = (await self._http.post(path.get(kind, "/events"), json=body)).status_code
            except httpx.TransportError:
                status = 503
            if status != 503:
                break
            await asyncio.sleep(PAUSE_S)
        assert status in {200, 201}
        self.published[kind] += 1

    def start(self) -> None:
        """Publish all the time."""

        async def publish_on(kind: str) -> None:
            while self._tasks:
                await self.publish(kind)
                await asyncio.sleep(PAUSE_S)

        self._tasks = [asyncio.create_task(publish_on(kind)) for kind in KINDS]

    async def has_published(self, more: int) -> None:
        """Wait until it has published so many more."""
        wanted = sum(self.published.values()) + more
        await until(lambda: sum(self.published.values()) >= wanted, "it publishes nothing")

    async def stop(self) -> None:
        """End when what is under way is acknowledged."""
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    async def close(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await self._http.aclose()


async def told(page: Page, name: str) -> Told:
    found: Told = await page.evaluate(f"window.told.{name}")
    return found


def numbers_in(stream: Told) -> dict[str, list[int]]:
    """What came on a stream of each kind, in order. Nothing but that came, and `ready`."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for one in stream:
        match one:
            case {"event": "new_message", "data": data}:
                found["room"].append(int(data["content"]))
            case {"event": "news", "data": data}:
                [(kind, number)] = data.items()
                found[kind].append(number)
            case {"event": "ready", "data": data}:
                assert data.get("recovered") is not False
            case _:
                pytest.fail(f"{one} came")
    return found


def lives_of(chat: Told) -> list[list[dict[str, Any]]]:
    """What the chat received over each of its connections. It lost them and answered each heartbeat."""
    lives: list[list[dict[str, Any]]] = []
    for one in chat:
        if "opened" in one:
            lives.append([])
        elif "received" in one:
            assert one["received"]["type"] != "error"
            lives[-1].append(one["received"])
    assert {one["closed"] for one in chat if "closed" in one} <= {1006}
    return lives


def check_life(life: list[dict[str, Any]]) -> set[str]:
    """From its join on, each message came once, in order; so did each event from the greeting on.

    Gives the channels in which something came.
    """
    ends: dict[str, Position] = {}
    came: set[str] = set()
    for message in life:
        type_, data = message["type"], message.get("data", {})
        if "connection_id" in data:
            for key, channel in (("~me", f"user:{USER}"), ("~all", "all")):
                ends[channel] = parse_position(data["channels"][key]["position"])
        elif type_ == "room_joined":
            ends[ROOM] = parse_position(data["position"])
        elif type_ in {"new_message", "event"}:
            channel = data["room"] if type_ == "new_message" else data["channel"]
            last = ends[channel]
            assert (data["epoch"], data["offset"]) == (last.epoch, last.offset + 1)
            ends[channel] = Position(data["epoch"], data["offset"])
            came.add(channel)
    return came


async def check(page: Page, came: dict[str, list[int]]) -> None:
    """Wait until the page has the last of these; then each stream has each once, in order."""
    last = f"one.received?.data?.content === '{came['room'][-1]}'"
    await eventually(page, f"told.chat.some((one) => {last})")
    for name, kinds in (("events", KINDS), ("notifications", KINDS[1:])):
        expected = {kind: came[kind] if kind in kinds else [] for kind in KINDS}
        events = sum(map(len, expected.values()))
        await eventually(page, f"told.{name}.filter(({{ event }}) => event !== 'ready').length >= {events}")
        assert numbers_in(await told(page, name)) == expected


ALL_THERE = "told.events.length && told.notifications.length && told.chat.length > 2"
LIVES = "told.chat.filter((one) => 'opened' in one).length"


@pytest.mark.timeout(400)
async def test_the_earlier_page_lives_through_a_killed_server(
    tmp_path: Path, page: Page, application: str, store: str, soak: bool
) -> None:
    settings = {**SOON_BACK, "ping_interval_s": 0.5}
    kills = 20 if soak else 1
    # The places of clients of dead instances are kept for a lease: after many kills that would be the limit.
    options = ("--origin", application, "--user-connections", "off")
    server = ServerProcess(tmp_path, store, *options, settings=settings)
    await server.start()
    backend = Application(server.url)
    try:
        cookie = {"name": "rt_token", "value": token(USER), "url": server.url, "httpOnly": True}
        await page.context.add_cookies([cookie])  # type: ignore[list-item]
        fragment = urlencode({"server": server.url, "token": token(USER), "room": ROOM})
        await page.goto(f"{application}/#{fragment}")
        await eventually(page, ALL_THERE)
        backend.start()
        for life in range(2, kills + 2):
            await backend.has_published(60)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await server.start()
            await eventually(page, f"{LIVES} === {life}")
        await backend.has_published(60)
        await backend.stop()
        await check(page, {kind: list(range(number)) for kind, number in backend.published.items()})
        lives = lives_of(await told(page, "chat"))
        assert [check_life(life) for life in lives] == [{ROOM, f"user:{USER}", "all"}] * (kills + 1)

        await page.reload()  # a new page: it begins with what comes from now on
        await eventually(page, ALL_THERE)
        for kind in KINDS:
            await backend.publish(kind)
        await check(page, {kind: [number - 1] for kind, number in backend.published.items()})
    finally:
        await backend.close()
        server.kill()
