"""A client of a server inside an application: JSON messages over a WebSocket, on the running loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets

from rtcli.protocol import create_token
from rtcli_server import Settings

SECRET = "at-least-thirty-two-bytes-of-secret"
DEADLINE_S = 10.0


def embedded_settings(**values: object) -> Settings:
    """Settings with the secret of these tests."""
    return Settings.from_env({}, secrets=(SECRET,), **values)


def token(sub: str = "7", name: str = "Ann", scope: str | None = None) -> str:
    """A token that those servers take."""
    return create_token(SECRET, sub=sub, name=name, now=time.time(), scope=scope)


class Client:
    """One WebSocket connection."""

    def __init__(self, ws: websockets.ClientConnection) -> None:
        self.ws = ws
        self.connection_id = ""

    async def send(self, type_: str, id_: str | None = None, **data: object) -> None:
        """Send one message."""
        await self.ws.send(json.dumps({"type": type_, "data": data, "id": id_}))

    async def receive(self) -> dict[str, Any]:
        """Return the next message. Raises ConnectionClosed."""
        async with asyncio.timeout(DEADLINE_S):
            message: dict[str, Any] = json.loads(await self.ws.recv())
            return message

    async def until(self, *types: str) -> dict[str, Any]:
        """Skip messages until one of these types comes."""
        while (message := await self.receive())["type"] not in types:
            pass
        return message

    async def ask(self, type_: str, id_: str = "a-1", **data: object) -> dict[str, Any]:
        """Send a message, and return the first reply that has its id."""
        await self.send(type_, id_, **data)
        while (message := await self.receive()).get("id") != id_:
            pass
        return message

    async def close_code(self) -> int:
        """Read to the end of the connection; return the code with which the server closed it."""
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(websockets.ConnectionClosedError):
                async for _ in self.ws:
                    pass
            await self.ws.wait_closed()
        return self.ws.close_code or 0


@asynccontextmanager
async def connected(port: int, token_: str, *, query: str = "") -> AsyncIterator[Client]:
    """Connect, and take the greeting."""
    url = f"ws://127.0.0.1:{port}/api/v1/ws?token={token_}{query}"
    async with websockets.connect(url, proxy=None) as ws:
        client = Client(ws)
        greeting = await client.receive()
        assert greeting["type"] == "pong", greeting
        client.connection_id = greeting["data"]["connection_id"]
        yield client
