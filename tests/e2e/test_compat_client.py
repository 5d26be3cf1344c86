"""A client written against the earlier JavaScript protocol works unchanged: the rows marked (compat)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.support.paths import NODE
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.waiting import until

pytestmark = pytest.mark.system

CLIENT = NODE / "compat_client.mjs"
V1, V2 = "/api/v1/ws", "/api/v1/ws/v2"
Message = dict[str, Any]


class CompatClient:
    """The Node process: commands go in, what it tells is kept in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.reports: list[Message] = []
        self._seen = 0

    async def read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.reports.append(json.loads(line))

    def do(self, **command: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def quit(self) -> int:
        self.do(quit=True)
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self._process.wait()

    async def next(self, key: str, **expected: object) -> Any:  # noqa: ANN401 - JSON
        """What it tells next under `key`, with these fields; what comes before is skipped."""
        deadline = time.monotonic() + 30
        while True:
            while self._seen < len(self.reports):
                report = self.reports[self._seen]
                self._seen += 1
                if key in report and all(report[key].get(name) == value for name, value in expected.items()):
                    return report[key]
            assert time.monotonic() < deadline, f"no {key} {expected} in {self.reports}"
            await asyncio.sleep(0.02)

    async def data(self, type_: str) -> Message:
        """The data of the next message of that type."""
        data: Message = (await self.next("received", type=type_))["data"]
        return data


@contextlib.asynccontextmanager
async def compat(url: str, token: str) -> AsyncIterator[CompatClient]:
    process = await asyncio.create_subprocess_exec(
        "node", str(CLIENT), url, token, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    client = CompatClient(process)
    reading = asyncio.create_task(client.read())
    try:
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


def token(sub: str, **claims: str) -> str:
    """As an issuer makes it that knows nothing of this project."""
    return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, SECRET, algorithm="HS256")


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerProcess]:
    monkeypatch.setenv("RTCLI_SERVER_PING_INTERVAL_S", "0.2")
    monkeypatch.setenv("RTCLI_SERVER_PONG_TIMEOUT_S", "0.2")
    monkeypatch.setenv("RTCLI_SERVER_PRESENCE_GRACE_S", "0.1")
    server = ServerProcess(tmp_path, "memory:")
    try:
        await server.start()
        yield server
    finally:
        server.kill()


def at(server: ServerProcess, path: str) -> str:
    return server.url.replace("http", "ws", 1) + path


@pytest.mark.parametrize("path", [V1, V2])
async def test_connecting_joining_chatting_typing_and_leaving(server: ServerProcess, path: str) -> None:
    async with (
        compat(at(server, path), token("7", name="Ann")) as ann,
        compat(at(server, path), token("b@x", email="b@example.org")) as bob,
    ):
        first = (await ann.next("received"))["data"]
        assert first["message"] == "Connected"
        assert first["user_id"] == 7
        assert isinstance(first["connection_id"], str)
        assert isinstance(first["instance_id"], str)
        assert (await bob.next("received", type="pong"))["data"]["user_id"] == "b@x"

        ann.do(join="general")
        joined = await ann.data("room_joined")
        assert joined["room"] == "general"
        bob.do(join="general")
        await bob.data("room_joined")
        assert await ann.data("user_joined") == {"user_id": "b@x", "name": "b@example.org", "room": "general"}

        ann.do(typing=["general", True])
        typing = {"user_id": 7, "name": "Ann", "room": "general", "is_typing": True}
        assert await bob.data("user_typing") == typing

        ann.do(chat=["general", "hello"])
        for client in (ann, bob):
            message = await client.data("new_message")
            assert message["content"] == "hello"
            assert (message["room"], message["sender_id"], message["sender_name"]) == ("general", 7, "Ann")
            assert message["timestamp"].endswith("Z")
        bob.do(chat=["general", "hi"])
        assert [(await c.data("new_message"))["sender_id"] for c in (ann, bob)] == ["b@x", "b@x"]

        bob.do(leave="general")
        assert (await bob.data("room_left"))["room"] == "general"
        assert await ann.data("user_left") == {"user_id": "b@x", "name": "b@example.org", "room": "general"}
        assert not [t for c in (ann, bob) for t in c.reports if t.get("received", {}).get("type") == "ack"]
        assert await ann.quit() == await bob.quit() == 0


async def test_what_is_not_for_it_or_for_it_alone_is_of_a_type_that_it_does_not_know(
    server: ServerProcess,
) -> None:
    headers = {"Authorization": f"Bearer {token('app', scope='publish')}"}
    async with (
        compat(at(server, V2), token("7", name="Ann")) as ann,
        compat(at(server, V2), token("8")) as bob,
        httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False) as app,
    ):
        name = (await ann.data("pong"))["connection_id"]
        await bob.data("pong")
        for client in (ann, bob):
            client.do(join="general")
            await client.data("room_joined")
        for content, exclude in (("secret", {"users": [7]}), ("open", None)):
            body = {"content": content, "exclude": exclude}
            (await app.post("/rooms/general/messages", json=body)).raise_for_status()
        told = await app.post(f"/connections/{name}/events", json={"event": "hint"})
        assert told.json() == {"queued": {"here": 1, "deployment": 1}}
        assert (await ann.data("new_message"))["content"] == "open"
        assert [(await bob.data("new_message"))["content"] for _ in range(2)] == ["secret", "open"]
        await ann.data("direct")
        ann.do(chat=["general", "still here"])
        assert (await ann.data("new_message"))["content"] == "still here"
        assert "secret" not in json.dumps(ann.reports)
        assert not [report for report in ann.reports if "closed" in report]


async def test_a_token_without_a_name_is_unknown(server: ServerProcess) -> None:
    async with compat(at(server, V1), token("9")) as client:
        client_ready = await client.data("pong")
        assert client_ready["user_id"] == 9
        client.do(join="general")
        members = (await client.data("room_joined"))["members"]
        assert members == [{"user_id": 9, "name": "Unknown"}]
        client.do(chat=["general", "who am I"])
        assert (await client.data("new_message"))["sender_name"] == "Unknown"


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        ("{", "invalid_message", "Invalid message format"),
        ('{"data":{}}', "invalid_message", "Invalid message format"),
        ('{"type":"join_room","data":{}}', "room_required", "Room is required"),
        ('{"type":"leave_room"}', "room_required", "Room is required"),
        ('{"type":"chat_message","data":{"content":"x"}}', "room_required", "Room is required"),
        ('{"type":"typing","data":{"is_typing":true}}', "room_required", "Room is required"),
        ('{"type":"dance","data":{}}', "unknown_type", "Unknown message type: dance"),
    ],
)
async def test_errors_have_their_texts_and_the_connection_stays(
    server: ServerProcess, sent: str, code: str, text: str
) -> None:
    async with compat(at(server, V1), token("7")) as client:
        await client.data("pong")
        client.do(raw=sent)
        assert await client.data("error") == {"code": code, "message": text}
        client.do(ping=True)
        assert await client.data("pong") == {}


async def test_the_heartbeat_of_v2_is_answered_by_itself(server: ServerProcess) -> None:
    async with compat(at(server, V2), token("7")) as client:
        for _ in range(8):  # more than three misses would take
            ping = await client.next("received", type="ping")
            assert ping["timestamp"].endswith("Z")
        assert not [report for report in client.reports if "closed" in report]
        client.do(mute=True)
        closed = await client.next("closed")
        assert closed == 4000
        await client.next("opened")  # and it comes back by itself


async def test_reconnecting_backs_off_and_joins_again(server: ServerProcess) -> None:
    async with compat(at(server, V2), token("7", name="Ann")) as client:
        await client.data("pong")
        client.do(join="general")
        await client.data("room_joined")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        await until(lambda: sum("waiting_ms" in t for t in client.reports) >= 5, why="it does not try again")
        delays = [report["waiting_ms"] for report in client.reports if "waiting_ms" in report]
        assert delays[:5] == [50, 100, 200, 400, 800]
        await server.start()
        assert (await client.data("room_joined"))["room"] == "general"
        client.do(chat=["general", "back"])
        assert (await client.data("new_message"))["content"] == "back"


async def test_a_bad_token_is_closed_with_1008(server: ServerProcess) -> None:
    async with compat(at(server, V1), token("7") + "x") as client:
        assert await client.next("closed") == 1008
