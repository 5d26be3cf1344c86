"""The server as an object: in applications of FastAPI and Starlette, under uvicorn and Hypercorn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from rtcli_server import (
    ConflictError,
    NotRunningError,
    Queued,
    Realtime,
    RealtimeError,
    UnavailableError,
)
from rtcli_server.broker import BrokerUnavailableError
from tests.support.clients.embedded import connected, embedded_settings, token
from tests.support.redis.cluster import RedisCluster
from tests.support.redis.server import RedisServer
from tests.support.servers.foreign_server import ASGI_SERVERS, served


class Running(NamedTuple):
    """A server that runs, and its port."""

    realtime: Realtime
    port: int


APPLICATIONS = [(server, app, "memory") for server in ASGI_SERVERS for app in (FastAPI, Starlette)]
APPLICATIONS += [("uvicorn", FastAPI, store) for store in ("sqlite", "redis", "cluster")]


@pytest.fixture(params=APPLICATIONS, ids=str)
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """A server in an application that has nothing else: on each ASGI server, and on each log."""
    server, new_app, store = request.param
    url = f"sqlite:{tmp_path / 'rt.db'}" if store == "sqlite" else "memory:"
    if store in {"redis", "cluster"}:
        redis: RedisServer | RedisCluster = request.getfixturevalue(f"{store}_of_session")
        url = f"{redis.url}?prefix=embedded"
    app = new_app()
    realtime = Realtime(embedded_settings(store=url))
    realtime.mount(app)
    async with served(app, server) as port:
        yield Running(realtime, port)


@pytest.fixture
async def plain() -> AsyncIterator[Running]:
    """The same on one of them, for what does not depend on it."""
    app = FastAPI()
    realtime = Realtime(embedded_settings())
    realtime.mount(app)
    async with served(app, "uvicorn") as port:
        yield Running(realtime, port)


async def test_what_an_application_publishes_arrives(running: Running) -> None:
    realtime, port = running
    async with connected(port, token(), query="&events=1") as client:
        joined = await client.ask("join_room", room="general")
        assert joined["type"] == "room_joined"
        said = await realtime.publish("general", "hello", sender_id="8", sender_name="Bob")
        message = (await client.until("new_message"))["data"]
        assert (message["sender_id"], message["sender_name"], message["content"]) == (8, "Bob", "hello")
        assert (message["epoch"], message["offset"]) == said.position
        sent = await realtime.send_to_user("7", "order.paid", {"order": 42})
        event = (await client.until("event"))["data"]
        assert (event["event"], event["data"]) == ("order.paid", {"order": 42})
        assert (event["channel"], event["offset"]) == (sent.channel, sent.position.offset)
        assert (said.queued, sent.queued) == (Queued(1, 1), Queued(1, 1))
        assert await realtime.send_to_connection(client.connection_id, "hint", {"n": 1}) == Queued(1, 1)
        assert (await client.until("direct"))["data"] == {"event": "hint", "data": {"n": 1}}
        assert await realtime.send_to_connection("no-such", "hint") == Queued(0, 0)
        await realtime.broadcast("news")
        assert (await client.until("event"))["data"]["event"] == "news"
        members, count = await realtime.presence("general")
        assert [(member.user_id, member.name) for member in members] == [(7, "Ann")]
        assert count == 1
        assert await realtime.kick("7") == 1
        assert await client.close_code() == 4500
    assert await realtime.kick("8") == 0


async def test_any_spelling_of_a_room_is_that_room(plain: Running) -> None:
    first = await plain.realtime.publish("Cafe\u0301, 1", "x", id="m-1")
    again = await plain.realtime.publish("Café, 1", "x", id="m-1")
    assert (first.channel, again.duplicate) == ("room:Café, 1", True)
    assert (await plain.realtime.presence("Cafe\u0301, 1")).member_count == 0


async def test_an_id_counts_once(plain: Running) -> None:
    first = await plain.realtime.publish("a", "x", id="m-1")
    again = await plain.realtime.publish("a", "x", id="m-1")
    assert not first.duplicate
    assert again == first._replace(duplicate=True, queued=Queued(0, 0))
    with pytest.raises(ConflictError, match="id was used for something else"):
        await plain.realtime.publish("a", "y", id="m-1")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("publish", {"room": "no spaces\n", "content": "x"}),
        ("publish", {"room": "a", "content": ""}),
        ("publish", {"room": "a", "content": "x" * 16_385}),
        ("publish", {"room": "a", "content": "\ud800"}),
        ("publish", {"room": "a", "content": 7}),
        ("publish", {"room": "a", "content": "x", "id": "i" * 65}),
        ("publish", {"room": "a", "content": "x", "sender_id": ""}),
        ("publish", {"room": "a", "content": "x", "sender_name": "\u200b"}),
        ("send_to_user", {"user_id": "", "event": "e"}),
        ("send_to_user", {"user_id": "7", "event": "new_message"}),
        ("broadcast", {"event": "e", "data": {"x": float("nan")}}),
        ("broadcast", {"event": "e", "data": {"x": "y" * 70_000}}),
        ("broadcast", {"event": "e e"}),
        ("send_to_connection", {"connection_id": "c", "event": "ready"}),
        ("send_to_connection", {"connection_id": "c", "event": "e", "data": {"x": "\ud800"}}),
        ("kick", {"user_id": ""}),
        ("presence", {"room": ""}),
    ],
)
async def test_what_the_protocol_does_not_allow(
    plain: Running, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        await getattr(plain.realtime, method)(**arguments)
    assert "yyyy" not in str(refused.value)
    await plain.realtime.publish("a", "it goes on")


async def test_a_log_that_does_not_answer(plain: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(*_: object, **__: object) -> None:
        raise BrokerUnavailableError("gone")

    monkeypatch.setattr(plain.realtime._server.rooms, "members", unavailable)
    with pytest.raises(UnavailableError):
        await plain.realtime.presence("a")
    assert issubclass(UnavailableError, RealtimeError)


async def test_only_while_the_application_runs() -> None:
    app = FastAPI()
    realtime = Realtime(embedded_settings())
    with pytest.raises(NotRunningError, match="is it mounted"):
        await realtime.broadcast("e")
    realtime.mount(app)
    async with served(app, "uvicorn"):
        await realtime.broadcast("e")
        with pytest.raises(NotRunningError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, realtime.broadcast("e"))
    with pytest.raises(NotRunningError, match="does not run"):
        await realtime.broadcast("e")
    with pytest.raises(NotRunningError, match="run already"):
        async with app.router.lifespan_context(app):
            pass


async def test_an_application_keeps_its_own_routes_and_life() -> None:
    realtime = Realtime(embedded_settings())
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
        await realtime.publish("a", "it runs before the application does")
        yield {"mine": "state"}
        await realtime.publish("a", "and after it")
        seen.append("ended")

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def health() -> str:
        return "mine"

    realtime.mount(app)

    @app.get("/later")
    async def later() -> str:
        return "later"

    async with (
        served(app, "uvicorn") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        assert (await http.get("/healthz")).json() == "mine"
        assert (await http.get("/later")).json() == "later"
        assert (await http.get("/readyz")).json() == {"status": "ready"}
        assert (await http.get("/nothing")).json() == {"detail": "Not Found"}
        assert (await http.get("/api/v1/rooms")).headers["content-type"] == "application/problem+json"
        assert (await http.head("/readyz")).status_code == 200
        refused = await http.delete("/api/v1/events")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
        assert (await http.get("/readyz/")).status_code == 404
        assert "/api/v1/events" not in (await http.get("/openapi.json")).json()["paths"]
        headers = {"authorization": f"Bearer {token(scope='admin')}"}
        page = (await http.get("/api/v1/rooms/a/messages", headers=headers)).json()
        assert [message["content"] for message in page["messages"]] == ["it runs before the application does"]
    assert seen == ["ended"]
