"""A real server in its own process that can be killed and started again, and crowds that live through it.

Everybody records into `checker` records: `Crowd.check()` is asked once everything came to rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.events import Acked, ClientEvent, Gap, Joined, Message, Rejected
from rtcli.client.sse import Batch, StreamFollower
from rtcli.client.websocket import RealtimeClient
from rtcli.protocol.position import Position, parse_cursor
from rtcli.protocol.tokens import create_token
from tests.support.checker import Outcome, Receiver, Sent, Verdict, check
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.waiting import until

ROOM = "general"


def _token(user: str) -> str:
    return create_token(SECRET, sub=user, now=time.time())


def _patience(rng: random.Random) -> Reconnect:
    return Reconnect(rng, started=time.monotonic(), wait_s=60, base_s=0.05, cap_s=0.5, floor_s=0.05)


# How long clients wait before they come back, where the server says it.
SOON_BACK = {"stream_retry_ms": 100, "retry_spread_s": 0.5}


@dataclass
class Crowd:
    """Publishers and receivers of one room, on one server."""

    url: str
    rng: random.Random
    sent: dict[str, Sent] = field(default_factory=dict)
    receivers: list[Receiver] = field(default_factory=list)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    _stopping: bool = False

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def _client(self, user: str, on_event: Callable[[ClientEvent], None]) -> RealtimeClient:
        target = WebSocketTarget(
            url=self.url.replace("http", "ws", 1) + "/api/v1/ws",
            where=self.url,
            token=lambda: _token(user),
        )
        client = RealtimeClient(
            target, reconnect=_patience(self.rng), id_prefix=f"{user}-", on_event=on_event
        )
        client.join(ROOM)
        return client

    def tail_over_websocket(self, name: str) -> Receiver:
        """Add a receiver on WebSocket that reconnects and resumes."""
        receiver = Receiver(name, ROOM, Position("", -1))

        def on_event(event: ClientEvent) -> None:
            if isinstance(event, Joined) and receiver.start.offset < 0 and event.position is not None:
                receiver.start = event.position
            elif isinstance(event, Message):
                receiver.events.append((event.content, event.position))
            elif isinstance(event, Gap):
                receiver.left_behind.add(receiver.events[-1][1].epoch if receiver.events else "")

        self.receivers.append(receiver)
        self._spawn(self._client(name, on_event).run())
        return receiver

    def tail_over_sse(self, name: str) -> Receiver:
        """Add a receiver on SSE that reconnects with Last-Event-ID."""
        receiver = Receiver(name, ROOM, Position("", -1))
        self.receivers.append(receiver)
        self._spawn(self._follow(name, receiver))
        return receiver

    async def _follow(self, name: str, receiver: Receiver) -> None:
        async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=60)) as http:
            stream = StreamFollower(
                http,
                f"{self.url}/api/v1/events/stream?room={ROOM}",
                where=self.url,
                reconnect=_patience(self.rng),
                token=lambda: _token(name),
            )
            async with contextlib.aclosing(stream.items()) as items:
                async for item in items:
                    if isinstance(item, Batch):
                        for event in item.events:
                            _record(receiver, event.event, event.data, event.id, name)

    def publisher(self, name: str) -> asyncio.Task[None]:
        """Add a publisher that sends until `stop`, and keeps every text until its fate is known."""
        return self._spawn(self._publish(name))

    async def _publish(self, name: str) -> None:
        def on_event(event: ClientEvent) -> None:
            if isinstance(event, Acked):
                text = texts.pop(event.id)
                self.sent[text] = Sent(text, ROOM, Outcome.ACKNOWLEDGED, event.position)
            elif isinstance(event, Rejected):
                texts.pop(event.id)
                self.sent[event.content] = Sent(event.content, ROOM, Outcome.REFUSED)

        texts: dict[str, str] = {}
        client = self._client(name, on_event)
        running = asyncio.create_task(client.run())
        self._tasks.append(running)
        number = 0
        while not self._stopping:
            if len(texts) < 5:
                number += 1
                text = f"{name}-{number}"
                self.sent[text] = Sent(text, ROOM, Outcome.UNKNOWN)
                texts[client.send(ROOM, text)] = text
            await asyncio.sleep(0.03)  # what is sent during a kill stays below what one resume may replay
        await until(lambda: not texts, why=f"{name}: {len(texts)} texts without an answer")

    def stop_publishing(self) -> None:
        """Let publishers end once their last texts are answered."""
        self._stopping = True

    async def rest(self, publishers: list[asyncio.Task[None]]) -> None:
        """Stop publishing and wait until everybody has what was acknowledged, or will not get it."""
        self.stop_publishing()
        await asyncio.gather(*publishers)
        with contextlib.suppress(AssertionError):  # what is missing then is the checker's to say
            await until(self._everyone_has_everything, timeout_s=60, why="receivers are behind")

    def _everyone_has_everything(self) -> bool:
        return all(len(receiver.events) >= len(self.sent) for receiver in self.receivers)

    def check(self) -> Verdict:
        """Ask the checker."""
        return check(self.sent.values(), self.receivers)

    async def close(self) -> None:
        """End everybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _record(receiver: Receiver, event: str, data: str, cursor: str, user: str) -> None:
    fields = json.loads(data)
    if event == "new_message":
        receiver.events.append((fields["content"], Position(fields["epoch"], fields["offset"])))
    elif event == "ready" and receiver.start.offset < 0:
        receiver.start = parse_cursor(cursor, user_channel=f"user:{user}")[f"room:{ROOM}"]
    elif receiver.events and (event == "gap" or (event == "ready" and '"recovered":false' in data)):
        receiver.left_behind.add(receiver.events[-1][1].epoch)


@contextlib.asynccontextmanager
async def deployment(
    home: Path, store: str, *options: str, seed: int
) -> AsyncIterator[tuple[ServerProcess, Crowd]]:
    """Run a server, and a crowd on it; both are ended with the block."""
    server = ServerProcess(home, store, *options, settings=SOON_BACK)
    crowd = Crowd(server.url, random.Random(seed))
    try:
        await server.start()
        yield server, crowd
    finally:
        await crowd.close()
        server.kill()
