"""Hooks of an application, as clients meet them: over WebSocket, event streams and HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from fastapi import FastAPI

from rtcli_server import (
    ConnectRequest,
    Disconnected,
    Hooks,
    JoinRequest,
    PublishRequest,
    Realtime,
    Refuse,
    Rename,
    Rewrite,
)
from rtcli_server.connections.websocket import Connection
from tests.support.clients.embedded import Client, connected, embedded_settings, token
from tests.support.servers.foreign_server import ASGI_SERVERS, served
from tests.support.waiting import until


class Club(Hooks):
    """A room for members, a name for each client, and no shouting."""

    def __init__(self) -> None:
        self.gone: list[Disconnected] = []
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def connect(self, request: ConnectRequest) -> Refuse | Rename | None:
        if request.user_id == "666":
            return Refuse("Banned until noon")
        if request.user_id == "13":
            raise RuntimeError("no database")
        return Rename(f"{request.name} ({request.transport})")

    async def join(self, request: JoinRequest) -> Refuse | None:
        return Refuse("Members only") if request.room == "club" else None

    async def publish(self, request: PublishRequest) -> Refuse | Rewrite | None:
        self.asked.append(request.content)
        await self.may_answer.wait()
        if request.content == "spam":
            return Refuse()
        return Rewrite(request.content.lower()) if request.content.isupper() else None

    async def disconnect(self, event: Disconnected) -> None:
        self.gone.append(event)


@asynccontextmanager
async def running(hooks: Hooks, server: str = "uvicorn", **settings: object) -> AsyncIterator[int]:
    app = FastAPI()
    Realtime(embedded_settings(**settings), hooks=hooks).mount(app)
    async with served(app, server) as port:
        yield port


def http_for(port: int, sub: str = "7") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token(sub)}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False)


@pytest.mark.parametrize("server", ASGI_SERVERS)
async def test_over_websocket(server: str) -> None:
    club = Club()
    async with running(club, server) as port:
        async with connected(port, token()) as ann:
            refused = await ann.ask("join_room", room="club")
            assert refused["data"] == {"code": "forbidden", "message": "Members only"}
            joined = await ann.ask("join_room", room="a")
            assert joined["data"]["members"] == [{"user_id": 7, "name": "Ann (websocket)"}]
            await ann.send("chat_message", "m-1", room="a", content="HELLO")
            message = (await ann.until("new_message"))["data"]
            assert (message["content"], message["sender_name"]) == ("hello", "Ann (websocket)")
            spam = await ann.ask("chat_message", "m-2", room="a", content="spam")
            assert (spam["type"], spam["data"]["code"]) == ("error", "forbidden")
        await until(lambda: bool(club.gone))
    (gone,) = club.gone
    assert (gone.user_id, gone.transport, gone.address) == ("7", "websocket", "127.0.0.1")


@pytest.mark.logs_traceback
async def test_who_may_not_connect() -> None:
    async with running(Club()) as port:
        for sub, code, reason in (
            ("666", 1008, "forbidden: Banned until noon"),
            ("13", 1013, "unavailable: The application did not answer"),
        ):
            async with websockets.connect(
                f"ws://127.0.0.1:{port}/api/v1/ws?token={token(sub)}", proxy=None
            ) as ws:
                assert await Client(ws).close_code() == code
            assert (ws.close_reason or "").startswith(reason)
        async with http_for(port, "666") as http:
            refused = await http.get("/events/stream")
            assert (refused.status_code, refused.json()["detail"]) == (403, "Banned until noon")
        async with http_for(port, "13") as http:
            later = await http.get("/events/stream")  # a status but 200 would end a browser's EventSource
            assert later.status_code == 200
            assert "retry:" in later.text
            assert "event: closing" in later.text


async def test_over_http_and_event_streams() -> None:
    club = Club()
    async with running(club) as port, http_for(port) as http:
        for path in ("/rooms/club/messages", "/rooms/club/members", "/events/stream?room=a&room=club"):
            refused = await http.get(path)
            assert (refused.status_code, refused.json()["detail"]) == (403, "Members only"), path
        assert (await http.post("/rooms/a/messages", json={"content": "spam"})).status_code == 403
        assert (await http.post("/rooms/a/messages", json={"content": "LOUD", "id": "m"})).status_code == 201
        assert (await http.post("/rooms/a/messages", json={"content": "LOUD", "id": "m"})).status_code == 200
        parts = [{"room": "a", "content": text} for text in ("one", "spam", "TWO")]
        results = (await http.post("/batch", json={"publications": parts})).json()["results"]
        assert [result["status"] for result in results] == [201, 403, 201]
        asked = len(club.asked)  # nobody is asked about what the token does not allow
        body = {"content": "no", "exclude": {"users": ["8"]}}
        assert (await http.post("/rooms/a/messages", json=body)).status_code == 403
        refused = await http.post("/batch", json={"publications": [{"room": "a", **body}]})
        assert (refused.json()["results"][0]["status"], len(club.asked)) == (403, asked)
        page = (await http.get("/rooms/a/messages")).json()
        assert [message["content"] for message in page["messages"]] == ["loud", "one", "two"]
        async with http.stream("GET", "/events/stream?room=a") as stream:
            assert "event: ready" in await anext(stream.aiter_text())
        await until(lambda: bool(club.gone))
        assert club.gone[0].transport == "sse"


async def test_a_repeat_counts_once_whatever_the_hook_says_of_it() -> None:
    class Clerk(Hooks):
        count = 0

        async def publish(self, request: PublishRequest) -> Rewrite:
            self.count += 1
            return Rewrite(f"{self.count}. {request.content}")

    async with running(Clerk()) as port, http_for(port) as http, connected(port, token()) as ann:
        await ann.ask("join_room", room="a")
        message = {"content": "x", "id": "m"}
        answers = [await http.post("/rooms/a/messages", json=message) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 200]
        part = {"room": "a", **message}
        results = (await http.post("/batch", json={"publications": [part]})).json()["results"]
        assert [result["status"] for result in results] == [200]
        repeat = await ann.ask("chat_message", "m", room="a", content="x")
        assert repeat["data"]["duplicate"] is True
        page = (await http.get("/rooms/a/messages")).json()
        assert [one["content"] for one in page["messages"]] == ["1. x"]


async def test_a_hook_sees_one_spelling_of_a_room() -> None:
    class Doorman(Hooks):
        rooms: list[str]

        async def join(self, request: JoinRequest) -> Refuse | None:
            self.rooms.append(request.room)
            return Refuse("Members only") if request.room == "café" else None

        async def publish(self, request: PublishRequest) -> None:
            self.rooms.append(request.room)

    hooks, nfd = Doorman(), "cafe\u0301"
    hooks.rooms = []
    async with running(hooks) as port, connected(port, token()) as ann, http_for(port) as http:
        assert (await ann.ask("join_room", room=nfd))["data"]["message"] == "Members only"
        assert (await ann.ask("join_room", room=f"{nfd} 2"))["data"]["room"] == f"{nfd} 2"
        assert (await ann.ask("chat_message", "m", room=f"{nfd} 2", content="x"))["data"][
            "room"
        ] == f"{nfd} 2"
        assert (await http.get(f"/rooms/{nfd}/messages")).status_code == 403
        assert (await http.get(f"/events/stream?room={nfd}")).status_code == 403
        assert (await http.post(f"/rooms/{nfd}/messages", json={"content": "x"})).status_code == 201
    assert hooks.rooms == ["café", "café 2", "café 2", "café", "café", "café"]


async def test_commands_keep_their_order_while_a_hook_is_asked() -> None:
    club = Club()
    async with running(club) as port, connected(port, token()) as ann, connected(port, token("8")) as bob:
        for client in (ann, bob):
            await client.ask("join_room", room="a")
        club.may_answer.clear()
        for number in range(20):
            await ann.send("chat_message", f"m-{number}", room="a", content=f"text {number}")
        await ann.send("leave_room", "bye", room="a")
        await until(lambda: bool(club.asked))
        assert (await bob.ask("ping"))["type"] == "pong"  # nobody else waits
        assert club.asked == ["text 0"]  # one at a time of each connection
        club.may_answer.set()
        contents = [(await bob.until("new_message"))["data"]["content"] for _ in range(20)]
        assert contents == [f"text {number}" for number in range(20)]
        assert (await ann.until("room_left"))["id"] == "bye"


async def test_a_hook_that_hangs_denies_and_the_connection_goes_on() -> None:
    club = Club()
    club.may_answer.clear()
    async with running(club, hook_deadline_s=0.05) as port, connected(port, token()) as ann:
        await ann.ask("join_room", room="a")
        denied = await ann.ask("chat_message", "m-1", room="a", content="x")
        assert denied["data"]["code"] == "unavailable"
        assert denied["data"]["retry_after_ms"] == 1_000
        assert denied["data"]["message"].startswith("The application did not answer")
        club.may_answer.set()
        assert (await ann.ask("chat_message", "m-1", room="a", content="x"))["type"] == "ack"


async def test_a_message_is_published_also_when_its_client_has_gone() -> None:
    club = Club()
    async with running(club) as port, connected(port, token("8")) as bob:
        await bob.ask("join_room", room="a")
        club.may_answer.clear()
        async with connected(port, token()) as ann:
            await ann.ask("join_room", room="a")
            await ann.send("chat_message", room="a", content="last words")
            await until(lambda: bool(club.asked))
        await until(lambda: bool(club.gone))
        club.may_answer.set()
        assert (await bob.until("new_message"))["data"]["content"] == "last words"


async def test_who_has_gone_is_told_before_the_server_ends() -> None:
    club = Club()
    async with running(club) as port:
        for sub in ("7", "8", "9"):
            async with connected(port, token(sub)):
                pass
    assert sorted(event.user_id for event in club.gone) == ["7", "8", "9"]


async def test_without_hooks_connections_are_as_before() -> None:
    realtime = Realtime(embedded_settings())
    assert realtime._server.gate is None
    assert realtime._server.clients._connection is Connection
    assert type(realtime._server.admission).__name__ == "Admission"
