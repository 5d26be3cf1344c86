"""What an application decides, on each log: in Python, and over HTTP on both WebSocket transports."""

from __future__ import annotations

import asyncio
import dataclasses
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from rtcli_server import (
    ConnectRequest,
    Hooks,
    JoinRequest,
    PublishRequest,
    Realtime,
    Refuse,
    Rename,
    Rewrite,
)
from rtcli_server.process.runner import running_server
from tests.support.clients.embedded import connected, embedded_settings, token
from tests.support.servers.foreign_server import served
from tests.support.servers.hook_receiver import WEBHOOK_SECRET, Asked, answer_json, hook_receiver

pytestmark = pytest.mark.system

ROOM, CLOSED = "Café, 100 % #1", "Größe = 2"
WAYS = ("hooks", "webhooks, picows", "webhooks, portable")
Json = dict[str, Any]


class Club:
    """A name for each client, a room for members, and no shouting. It hangs when it is told to."""

    def __init__(self) -> None:
        self.hangs = False

    async def decide(self, type_: str, asked: Json) -> dict[str, str]:
        """Answer as a webhook does."""
        if self.hangs:
            await asyncio.Event().wait()
        if type_ == "connect":
            return {"refuse": "Banned"} if asked["user_id"] == "666" else {"name": f"{asked['name']} B."}
        if type_ == "join":
            return {"refuse": "Members only"} if asked["room"] == CLOSED else {}
        if asked["content"] == "spam":
            return {"refuse": "No spam"}
        return {"content": asked["content"].lower()} if asked["content"].isupper() else {}


class InPython(Hooks):
    """The same in Python."""

    def __init__(self, club: Club) -> None:
        self._club = club

    async def connect(self, request: ConnectRequest) -> Refuse | Rename | None:
        answer = await self._club.decide("connect", dataclasses.asdict(request))
        return Refuse(answer["refuse"]) if "refuse" in answer else Rename(answer["name"])

    async def join(self, request: JoinRequest) -> Refuse | None:
        answer = await self._club.decide("join", dataclasses.asdict(request))
        return Refuse(answer["refuse"]) if answer else None

    async def publish(self, request: PublishRequest) -> Refuse | Rewrite | None:
        answer = await self._club.decide("publish", dataclasses.asdict(request))
        if "refuse" in answer:
            return Refuse(answer["refuse"])
        return Rewrite(answer["content"]) if answer else None


@asynccontextmanager
async def deciding(way: str, club: Club, store: str) -> AsyncIterator[int]:
    """Run a server on this log whose application is the club; gives its port."""
    if way == "hooks":
        app = FastAPI()
        Realtime(embedded_settings(store=store, hook_deadline_s=0.5), hooks=InPython(club)).mount(app)
        async with served(app, "uvicorn") as port:
            yield port
        return

    async def decide(asked: Asked, writer: asyncio.StreamWriter) -> None:
        answer = await club.decide(asked.body["type"], asked.body["data"])
        await answer_json(**answer)(asked, writer)

    async with hook_receiver() as receiver:
        receiver.answer = decide
        settings = embedded_settings(
            store=store,
            hook_deadline_s=0.5,
            webhook_url=receiver.url,
            webhook_secrets=(WEBHOOK_SECRET,),
            port=0,
            fast_websockets=way == "webhooks, picows",
        )
        async with running_server(settings) as server:
            yield server.port
        assert receiver.forged == 0


def http_for(port: int, sub: str = "7") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token(sub)}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False)


async def over_websocket(port: int, club: Club) -> None:
    nfd = unicodedata.normalize("NFD", ROOM)
    async with connected(port, token()) as ann, connected(port, token("8", "Bob")) as bob:
        refused = await ann.ask("join_room", room=unicodedata.normalize("NFD", CLOSED))
        assert refused["data"] == {"code": "forbidden", "message": "Members only"}
        assert (await ann.ask("join_room", room=nfd))["data"]["room"] == nfd
        assert (await bob.ask("join_room", room=ROOM))["data"]["member_count"] == 2
        await ann.send("chat_message", "m-1", room=nfd, content="HELLO")
        message = (await bob.until("new_message"))["data"]
        assert (message["content"], message["sender_name"], message["room"]) == ("hello", "Ann B.", ROOM)
        repeat = await ann.ask("chat_message", "m-1", room=ROOM, content="HELLO")
        while repeat["type"] != "ack" or not repeat["data"]["duplicate"]:  # the first one's may come now
            repeat = await ann.until("ack")
        spam = await ann.ask("chat_message", "m-2", room=ROOM, content="spam")
        assert spam["data"] == {"code": "forbidden", "message": "No spam"}
        club.hangs = True
        late = await ann.ask("chat_message", "m-3", room=ROOM, content="late")
        assert late["data"]["code"] == "unavailable"
        assert late["data"]["message"].startswith("The application did not answer")
        club.hangs = False
        while late["type"] != "ack":
            late = await ann.ask("chat_message", "m-3", room=ROOM, content="late")
        assert (await bob.until("new_message"))["data"]["content"] == "late"


async def over_http_and_streams(port: int) -> None:
    room = f"/rooms/{quote(ROOM, safe='')}/messages"
    async with http_for(port, "666") as banned:
        refused = await banned.get("/events/stream")
        assert (refused.status_code, refused.json()["detail"]) == (403, "Banned")
    async with http_for(port) as http:
        statuses = [
            (await http.post(room, json={"content": text, "id": text})).status_code
            for text in ("LOUD", "LOUD", "spam")
        ]
        assert statuses == [201, 200, 403]
        closed = await http.get(f"/rooms/{quote(CLOSED, safe='')}/messages")
        assert (closed.status_code, closed.json()["detail"]) == (403, "Members only")
        page = (await http.get(room)).json()
        assert [one["content"] for one in page["messages"]] == ["hello", "late", "loud"]
        params = {"room": [ROOM, CLOSED]}
        assert (await http.get("/events/stream", params=params)).status_code == 403
        cursor = f"{quote(ROOM, safe='')}={page['messages'][0]['epoch']}-1"
        params = {"room": [ROOM], "last_event_id": [cursor]}
        async with http.stream("GET", "/events/stream", params=params) as stream:
            text = ""
            async for piece in stream.aiter_text():
                text += piece
                if '"content":"loud"' in text:
                    break
        assert '"recovered":true' in text
        assert text.index('"content":"late"') < text.index('"content":"loud"')


@pytest.mark.parametrize("way", WAYS)
async def test_the_application_decides(way: str, store_url: str) -> None:
    club = Club()
    async with deciding(way, club, store_url) as port:
        await over_websocket(port, club)
        await over_http_and_streams(port)
