"""Servers that hand on what they are given, changed on the way: JSON over WebSocket, and plain event streams.

Every frame and event differs from receiver to receiver. JSON is written with escapes at random.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Change = Callable[[str], str]


def escaped(text: str, rng: Random) -> str:
    """A JSON string of a text: any character may be written as an escape."""
    parts = []
    for unit in text:
        if rng.random() < 0.2:
            units = unit.encode("utf-16-be", "surrogatepass")
            pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
            parts += [rf"\u{pair.upper() if rng.random() < 0.5 else pair}" for pair in pairs]
        elif unit == "/" and rng.random() < 0.5:
            parts.append(r"\/")
        else:
            parts.append(json.dumps(unit, ensure_ascii=rng.random() < 0.5)[1:-1])
    return f'"{"".join(parts)}"'


@asynccontextmanager
async def json_chat(change: Change) -> AsyncIterator[str]:
    """A chat with JSON frames: `enter` and `say` are answered, and what is said goes to all who entered."""
    rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)
    numbers, rng = count(), Random(4)

    async def follow(connection: ServerConnection) -> None:
        try:
            async for frame in connection:
                asked = json.loads(frame)
                room = asked["channel"]
                if asked["action"] == "enter":
                    rooms[room].add(connection)
                    await connection.send(json.dumps({"event": "entered", "channel": room}))
                    continue
                text = escaped(change(asked["text"]), rng)
                for member in list(rooms[room]):
                    head = f'{{"event":"said","n":{next(numbers)},"channel":"{room}"'
                    await member.send(f'{head},"body":{{"text":{text}}}}}')
                await connection.send(json.dumps({"event": "ok", "ref": asked["ref"]}))
        except ConnectionClosed:
            pass
        finally:
            for members in rooms.values():
                members.discard(connection)

    async with serve(follow, "127.0.0.1", 0, compression=None) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def stream_hub(change: Change) -> AsyncIterator[str]:
    """A hub: POST /pub/ROOM publishes a body, GET /sub/ROOM is its event stream: as it is, or as JSON."""
    rooms: defaultdict[str, set[asyncio.StreamWriter]] = defaultdict(set)
    numbers, rng = count(), Random(5)

    def publish(room: str, text: str) -> None:
        as_json = rng.random() < 0.5
        for writer in list(rooms[room]):
            number = next(numbers)
            data = f'{{"n":{number},"text":{escaped(text, rng)}}}' if as_json else f"#{number} {text}"
            lines = "".join(f"data: {line}\n" for line in data.split("\n"))
            writer.write(f"id: {number}\n{lines}\n".encode("utf-8", "surrogatepass"))

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = ""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split(" ", 2)
                _, what, room = urlsplit(target).path.split("/")
                if what == "sub":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                    rooms[room].add(writer)
                    await reader.read()
                    return
                assert method == "POST"
                length = int(head.lower().partition("content-length:")[2].split()[0])
                publish(room, change((await reader.readexactly(length)).decode()))
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            rooms[room].discard(writer)
            writer.close()

    server = await asyncio.start_server(follow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
