"""One user with a WebSocket, an event stream and a terminal, each cut at random, on any instance.

What is published in a room, to the user and to all is recorded for the checker, and what each of them got.
Some publications exclude the user: who gets one has got what was not sent, and who sees a hole complains.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.events import (
    ClientEvent,
    Connected,
    ConnectionWarning,
    Event,
    Gap,
    Joined,
    Message,
    Reconnected,
)
from rtcli.client.sse import Batch, StreamFollower
from rtcli.client.websocket import RealtimeClient
from rtcli.protocol.position import Position, parse_position
from rtcli.protocol.tokens import create_token
from tests.support.checker import Outcome, Receiver, Sent, Verdict, check
from tests.support.processes.lifetime import DIES_WITH_US
from tests.support.processes.rtcli import RTCLI, environment
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.tcp_proxy import Link, TcpProxy, Treatment
from tests.support.waiting import until

ROOM, USER = "general", "ann"
CHANNELS = (ROOM, "~me", "~all")
BEFORE_ALL = Position("", -1)
HIDDEN = 0.3  # publications that exclude the user, for each one that does not
PAUSE_S = 0.03  # between publications: those of a few seconds stay below what one resume may replay


class Transport:
    """One of the user's connections: its way to the servers, and what came over it in each channel."""

    def __init__(self, name: str, servers: Sequence[ServerProcess], rng: random.Random) -> None:
        self.receivers = {channel: Receiver(f"{name} {channel}", channel, BEFORE_ALL) for channel in CHANNELS}
        self.complaints: list[str] = []  # gaps, repeats: there is no reason for any
        self.ready = False
        self.greetings = 0  # of a WebSocket
        self.cut_s: float | None = None  # how long a connection lives on average
        self._rng = rng
        self.proxy = TcpProxy(lambda: rng.choice(servers).port, self._treat)

    def _treat(self, _link: Link) -> Treatment:
        life_s = None if self.cut_s is None else self._rng.uniform(0.0, 2.0) * self.cut_s
        return Treatment(life_s=life_s, resets=self._rng.random() < 0.5)

    @property
    def url(self) -> str:
        """Where it connects to."""
        return f"http://127.0.0.1:{self.proxy.port}"

    def came(self, channel: str, key: str, position: Position) -> None:
        """Record a publication."""
        self.receivers[channel].events.append((key, position))

    def counts(self) -> dict[str, int]:
        """How many publications came in each channel."""
        return {channel: len(receiver.events) for channel, receiver in self.receivers.items()}


class OneUser:
    """The user, and who publishes. `check` asks the checker once everything came to rest."""

    def __init__(self, servers: Sequence[ServerProcess], home: Path, seed: int) -> None:
        self._servers = servers
        self._home = home
        self._rng = random.Random(seed)
        make = [Transport(name, servers, self._rng) for name in ("websocket", "stream", "terminal")]
        self.websocket, self.stream, self.terminal = self.transports = make
        self.sent: list[Sent] = []
        self._terminal_out = home / "terminal.out"
        self._terminal_read = 0  # bytes
        self._hidden = itertools.count()

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect all three, and end them with the block."""
        async with contextlib.AsyncExitStack() as stack:
            for transport in self.transports:
                await stack.enter_async_context(transport.proxy.running())
            work = (self._follow_websocket(), self._follow_stream(), self._follow_terminal())
            tasks = [asyncio.create_task(one) for one in work]
            try:
                for transport in self.transports:
                    await until(lambda it=transport: it.ready, f"{transport.receivers} is not there")  # type: ignore[misc]
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    # -- the three -----------------------------------------------------------------------------------------

    def _patience(self) -> Reconnect:
        return Reconnect(self._rng, started=time.monotonic(), wait_s=60, base_s=0.05, cap_s=0.5, floor_s=0.05)

    async def _follow_websocket(self) -> None:
        transport, joined = self.websocket, set()

        def on_event(event: ClientEvent) -> None:
            transport.greetings += isinstance(event, Connected | Reconnected)
            match event:
                case Message():
                    transport.came(ROOM, event.content, event.position)
                case Event():
                    transport.came(
                        "~all" if event.channel == "all" else "~me", event.data["key"], event.position
                    )
                case Gap() | ConnectionWarning():
                    transport.complaints.append(str(event))
                case Connected() | Joined():
                    joined.add(type(event))
                    transport.ready = len(joined) == 2

        target = WebSocketTarget(
            url=transport.url.replace("http", "ws", 1) + "/api/v1/ws", where=transport.url, token=_token
        )
        client = RealtimeClient(
            target, reconnect=self._patience(), id_prefix="ann-ws", on_event=on_event, events=True
        )
        client.join(ROOM)
        await client.run()

    async def _follow_stream(self) -> None:
        transport = self.stream
        async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=60), trust_env=False) as http:
            stream = StreamFollower(
                http, f"{transport.url}/api/v1/events/stream?room={ROOM}", where=transport.url,
                reconnect=self._patience(), token=_token,
            )  # fmt: skip
            async with contextlib.aclosing(stream.items()) as items:
                async for item in items:
                    for event in item.events if isinstance(item, Batch) else ():
                        data = json.loads(event.data)
                        if event.event in {"new_message", "news"}:
                            _take(transport, event.id, data)
                        elif event.event == "gap" or data.get("recovered") is False:
                            transport.complaints.append(event.data)
                        transport.ready = True

    async def _follow_terminal(self) -> None:
        transport, errors = self.terminal, self._home / "terminal.err"
        command = [
            *DIES_WITH_US,
            RTCLI,
            "tail-events",
            "-r",
            ROOM,
            "-u",
            transport.url,
            "--json",
            "--wait",
            "30s",
        ]
        with self._terminal_out.open("wb") as out, errors.open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=out, stderr=err, env=environment(self._home, RTCLI_TOKEN=_token())
            )
        try:
            while True:
                self._read_terminal()
                said = errors.read_text()
                transport.ready = transport.ready or "-- following" in said
                transport.complaints = [
                    line for line in said.splitlines() if "again" in line or "gap" in line
                ]
                assert process.returncode is None, said
                await asyncio.sleep(0.1)
        finally:
            process.kill()
            await process.wait()

    def _read_terminal(self) -> None:
        with self._terminal_out.open("rb") as out:
            out.seek(self._terminal_read)
            whole = out.read().rpartition(b"\n")[0]
        self._terminal_read += len(whole) + bool(whole)
        for record in map(json.loads, whole.splitlines()):
            if record["type"] == "event":
                _take(self.terminal, record["id"], record["data"])

    # -- publishing ----------------------------------------------------------------------------------------

    async def publish(self, seconds: float, cut_s: float, *, at_least: int) -> None:
        """Publish in each channel in turn, while connections live for `cut_s` on average."""
        for transport in self.transports:
            transport.cut_s = cut_s
            transport.proxy.cut()
        end = time.monotonic() + seconds
        async with _publisher() as http:
            for channel in itertools.cycle(CHANNELS):
                if time.monotonic() > end and len(self.sent) >= at_least:
                    break
                await self._publish(http, channel)
                await asyncio.sleep(PAUSE_S)

    async def _publish(self, http: httpx.AsyncClient, channel: str) -> None:
        if self._rng.random() < HIDDEN:
            await self._post(http, channel, f"hidden {next(self._hidden)}", exclude={"users": [USER]})
        key = f"{channel} {len(self.sent)}"
        self.sent.append(Sent(key, channel, Outcome.ACKNOWLEDGED, await self._post(http, channel, key)))

    async def _post(self, http: httpx.AsyncClient, channel: str, key: str, **more: object) -> Position:
        paths = {"~me": f"/api/v1/users/{USER}/events", "~all": "/api/v1/events"}
        path = paths.get(channel, f"/api/v1/rooms/{ROOM}/messages")
        body: dict[str, Any] = (
            {"content": key} if channel == ROOM else {"event": "news", "data": {"key": key}}
        )
        url = f"{self._rng.choice(self._servers).url}{path}"
        answer = await http.post(url, json={**body, "id": key, **more})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return parse_position(answer.json()["position"])

    async def rest(self) -> Verdict:
        """Cut nothing any more, wait until all three have everything, and ask the checker.

        At last, each channel gets something that no reconnection can bring: the connections stay, and had
        missed nothing when they began.
        """
        for transport in self.transports:
            transport.cut_s = None
        if await self._everything():
            before = self.websocket.greetings
            for transport in self.transports:
                transport.proxy.cut()
            await until(lambda: self.websocket.greetings > before, "the WebSocket does not come back")
            async with _publisher() as http:
                for channel in CHANNELS:
                    await self._publish(http, channel)
            await self._everything()
        receivers = [receiver for transport in self.transports for receiver in transport.receivers.values()]
        return check(self.sent, receivers)

    async def _everything(self) -> bool:
        """Wait until all three have everything. What is missing when that fails is the checker's to say."""
        with contextlib.suppress(AssertionError):
            await until(self._all_have_everything, timeout_s=60, why="somebody is behind")
        return self._all_have_everything()

    def _all_have_everything(self) -> bool:
        sent = {channel: sum(one.room == channel for one in self.sent) for channel in CHANNELS}
        return all(transport.counts() == sent for transport in self.transports)


def _publisher() -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {_token(sub='app', scope='publish')}"}
    return httpx.AsyncClient(headers=headers, trust_env=False, timeout=30)


def _token(sub: str = USER, scope: str | None = None) -> str:
    return create_token(SECRET, sub=sub, now=time.time(), scope=scope)


def _take(transport: Transport, cursor: str, data: dict[str, Any]) -> None:
    """Record an event of a stream. Its own channel and position come first in its id (protocol.md 6)."""
    channel, _, position = cursor.partition(",")[0].partition("=")
    transport.came(channel, data["content"] if channel == ROOM else data["key"], parse_position(position))
