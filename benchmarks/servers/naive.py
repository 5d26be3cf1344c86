"""The naive chat server: FastAPI, one JSON text per receiver, awaited one receiver after the other.

This is the program that the tutorials teach, with a token check. It also serves the same rooms as event
streams through FastAPI's own server-sent events, encoded for each subscriber.

Started by uvicorn with the shared secret in ``BENCH_SECRET``:
``uvicorn benchmarks.servers.naive:app --port 8000``.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import jwt
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent

SECRET = os.environ["BENCH_SECRET"]

app = FastAPI()
members: dict[str, list[WebSocket]] = defaultdict(list)
streams: dict[str, list[asyncio.Queue[dict[str, Any]]]] = defaultdict(list)


def message_of(claims: dict[str, Any], room: str, content: str) -> dict[str, Any]:
    """What every member of `room` gets: the text with its sender and its time."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    sender = {"sender_id": claims["sub"], "sender_name": claims["name"]}
    return {"type": "new_message", "data": {"room": room, "content": content, **sender, "timestamp": now}}


@app.get("/ready")
async def ready() -> dict[str, str]:
    """Answer once the application has started."""
    return {"status": "ok"}


@app.websocket("/ws")
async def chat(socket: WebSocket, token: str) -> None:
    """Join rooms and hand every chat message to all members of its room, one after the other."""
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    await socket.accept()
    joined: set[str] = set()
    try:
        while True:
            message = await socket.receive_json()
            room = message["data"]["room"]
            if message["type"] == "join_room":
                joined.add(room)
                members[room].append(socket)
                await socket.send_json({"type": "room_joined", "data": {"room": room}})
            else:
                outgoing = message_of(claims, room, message["data"]["content"])
                for member in list(members[room]):
                    await member.send_json(outgoing)
                for queue in streams[room]:
                    queue.put_nowait(outgoing)
    except WebSocketDisconnect:
        pass
    finally:
        for room in joined:
            members[room].remove(socket)


@app.get("/sse", response_class=EventSourceResponse)
async def follow(room: str) -> AsyncIterator[ServerSentEvent]:
    """Follow `room` as an event stream, each event encoded for each subscriber."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    streams[room].append(queue)
    try:
        yield ServerSentEvent(data={"room": room}, event="ready")
        number = 0
        while True:
            message = await queue.get()
            number += 1
            yield ServerSentEvent(data=message["data"], event="new_message", id=str(number))
    finally:
        streams[room].remove(queue)
