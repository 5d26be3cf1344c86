"""Servers of other people: a chat with JSON frames and no memory, and an event stream hub with one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError


class Chat:
    """Everybody in a channel gets what is said there; who is away misses it."""

    def __init__(self) -> None:
        self.channels: defaultdict[str, set[ServerConnection]] = defaultdict(set)
        self.hellos: list[object] = []
        self.paths: set[str] = set()
        self.protocols: set[str | None] = set()

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.add(connection.request.path)
        self.protocols.add(connection.subprotocol)
        try:
            with contextlib.suppress(ConnectionClosedError):
                async for text in connection:
                    await self.follow(connection, json.loads(text))
        finally:
            for members in self.channels.values():
                members.discard(connection)

    async def follow(self, connection: ServerConnection, frame: dict[str, str]) -> None:
        channel = frame.get("channel", "")
        if frame["action"] == "hello":
            self.hellos.append(frame["name"])
        elif frame["action"] == "enter":
            self.channels[channel].add(connection)
            await connection.send(json.dumps({"event": "entered", "channel": channel}))
        elif frame["action"] == "go":
            self.channels[channel].discard(connection)
        elif frame["text"].startswith("bad"):
            await connection.send(json.dumps({"event": "no", "ref": frame["ref"]}))
        else:
            said = json.dumps({"event": "said", "channel": channel, "text": frame["text"]})
            for member in list(self.channels[channel]):
                with contextlib.suppress(ConnectionClosed):
                    await member.send(said)
            await connection.send(json.dumps({"event": "ok", "ref": frame["ref"]}))


@contextlib.asynccontextmanager
async def chat() -> AsyncIterator[tuple[str, Chat]]:
    """The chat, and its URL."""
    server = Chat()
    async with serve(server.talk, "127.0.0.1", 0, subprotocols=["chat.v2"]) as listening:  # type: ignore[list-item]
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}", server


class Hub:
    """`POST /pub/NAME` says something, `GET /sub/NAME` follows. `forgets`: it ignores Last-Event-ID."""

    def __init__(self, *, forgets: bool) -> None:
        self.forgets = forgets
        self.said: defaultdict[str, list[bytes]] = defaultdict(list)
        self.followers: defaultdict[str, set[asyncio.StreamWriter]] = defaultdict(set)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b" ", 2)
                _, kind, name = unquote(target.decode()).split("/", 2)
                if method == b"POST" and kind == "pub":
                    await self.publish(head, name, reader, writer)
                    continue
                await self.follow(head, name, reader, writer)
                break
        writer.close()

    async def publish(
        self, head: bytes, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = await reader.readexactly(int(field(head, "content-length") or 0))
        self.said[name].append(body)
        for follower in list(self.followers[name]):
            follower.write(event(len(self.said[name]), body))
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    async def follow(
        self, head: bytes, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n: hi\n\n")
        writer.write(b"id: %d\n\n" % len(self.said[name]))  # who gets nothing else can resume, too
        last = field(head, "last-event-id")
        if last is not None and not self.forgets:
            for number, body in enumerate(self.said[name][int(last) :], int(last) + 1):
                writer.write(event(number, body))
        self.followers[name].add(writer)
        try:
            await reader.read()
        finally:
            self.followers[name].discard(writer)


def event(number: int, body: bytes) -> bytes:
    return b"id: %d\r\ndata: %b\r\n\r\n" % (number, body)


def field(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n"):
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


@contextlib.asynccontextmanager
async def hub(*, forgets: bool) -> AsyncIterator[str]:
    """The hub's URL."""
    own = Hub(forgets=forgets)
    listening = await asyncio.start_server(own.handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
