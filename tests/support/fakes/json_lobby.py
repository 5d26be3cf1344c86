"""A server with one room and JSON frames, for tests that say what becomes of each message.

A client enters with `{"do": "enter", "room": …}`; everything else that it sends has a `room` and a `text`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Frame = dict[str, str]


class Lobby:
    """Who has entered. `answer` says what becomes of a message of somebody."""

    def __init__(self, answer: Callable[[Lobby, ServerConnection, Frame], Awaitable[None]]) -> None:
        self.members: list[ServerConnection] = []
        self._answer = answer

    async def serve(self, connection: ServerConnection) -> None:
        """Confirm who enters, and let everything else be answered, until the connection ends."""
        try:
            async for data in connection:
                frame: Frame = json.loads(data)
                if frame["do"] == "enter":
                    self.members.append(connection)
                    await connection.send(json.dumps({"event": "entered", "room": frame["room"]}))
                    continue
                await self._answer(self, connection, frame)
                if connection.transport.is_closing():
                    return
        except ConnectionClosed:
            return
        finally:
            if connection in self.members:
                self.members.remove(connection)

    async def deliver(self, frame: Frame, *, but: ServerConnection | None = None) -> None:
        """Send what was said to all members, or to all but one."""
        said = json.dumps({"event": "said", "room": frame["room"], "text": frame["text"]})
        for member in list(self.members):
            if member is not but:
                await member.send(said)


@asynccontextmanager
async def open_lobby(lobby: Lobby) -> AsyncIterator[Server]:
    """Serve a lobby on a free port."""
    async with serve(lobby.serve, "127.0.0.1", 0) as server:
        yield server


def url_of(server: Server) -> str:
    """Where a load test finds the server."""
    return f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
