"""Publishers and receivers of one room on all instances of a deployment; some rove, the others stay."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from rtcli.protocol.position import Position
from tests.support.checker import Outcome, Sent, Verdict, check
from tests.support.clients.peers import Peer, connect, token
from tests.support.faults.crowd import ROOM
from tests.support.faults.roaming import Tail, TailSocket, TailStream, Writer
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import until

OF_EIGHT, ROVE = 8, 2  # of eight receivers, two change their connection all the time: one of each transport
LAST = "last"


@dataclass(frozen=True)
class Size:
    """How many, and how long a publisher waits after each acknowledgement."""

    publishers: int
    receivers: int
    pause_s: float


SMALL = Size(publishers=4, receivers=24, pause_s=0.05)
FULL = Size(publishers=20, receivers=200, pause_s=0.5)


@dataclass
class FleetCrowd:
    """Half of the publishers and of the receivers use WebSocket, the others HTTP and event streams."""

    servers: Sequence[ServerProcess]
    rng: random.Random
    size: Size
    sent: dict[str, Sent] = field(default_factory=dict)
    tails: list[Tail] = field(default_factory=list)
    refusals: int = 0  # publishes that were answered with `unavailable`
    slowest_refusal_s: float = 0.0
    # Connections that were lost by receivers that do not rove: whether they were told to come back.
    steady_losses: list[bool] = field(default_factory=list)
    _peers: dict[str, Peer] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _publishers: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def start(self) -> None:
        """Let everybody in, then let them talk."""
        for number in range(self.size.receivers):
            tail = Tail(f"tail{number}")
            self.tails.append(tail)
            make = TailSocket if number % 2 else TailStream
            self._spawn(self._live(tail, partial(make, tail), roves=number % OF_EIGHT < ROVE))
        await until(lambda: all(tail.at for tail in self.tails), why="receivers are not in the room")
        for number in range(self.size.publishers):
            publish = self._write if number % 2 else self._post_all
            self._publishers.append(self._spawn(publish(f"writer{number}")))
        await self.more()

    def acknowledged(self) -> int:
        """How many publishes were, so far."""
        return sum(sent.outcome is Outcome.ACKNOWLEDGED for sent in self.sent.values())

    async def more(self, count: int = 20) -> None:
        """Wait until that many more publishes are acknowledged: everything works."""
        wanted = self.acknowledged() + count
        await until(lambda: self.acknowledged() >= wanted, why="nothing is acknowledged")

    # -- receiving -----------------------------------------------------------------------------------------

    async def _live(self, tail: Tail, make: Callable[[], Peer], *, roves: bool) -> None:
        """Be connected somewhere, always."""
        while True:
            server = self.rng.choice(self.servers)
            with contextlib.suppress(OSError):
                peer = await connect(server.port, make(), host=server.host)
                self._peers[tail.name] = peer
                await asyncio.wait([peer.ready, peer.lost], return_when=asyncio.FIRST_COMPLETED)
                patience_s = self.rng.uniform(0.5, 3.0) if roves else None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(peer.lost), patience_s)
                peer.transport.abort()
                await asyncio.shield(peer.lost)
                if not roves and peer.ready.exception() is None:
                    self.steady_losses.append(peer.closing is not None)
            await asyncio.sleep(self.rng.uniform(0.0, 0.2))

    # -- publishing ----------------------------------------------------------------------------------------

    async def _publish(
        self, name: str, attempt: Callable[[str], Coroutine[Any, Any, Position | None]]
    ) -> None:
        """Publish one thing after the other, each under one id until it is acknowledged."""
        for number in itertools.count():
            key = f"{name}-{number}"
            self.sent[key] = Sent(key, ROOM, Outcome.UNKNOWN)
            while (position := await attempt(key)) is None:  # noqa: ASYNC110 - the time between two attempts
                await asyncio.sleep(self.rng.uniform(0.05, 0.3))
            self.sent[key] = Sent(key, ROOM, Outcome.ACKNOWLEDGED, position)
            if self._stopping:
                return
            await asyncio.sleep(self.size.pause_s)

    async def _post_all(self, name: str) -> None:
        headers = {"Authorization": f"Bearer {token(name)}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            await self._publish(name, partial(self._post, http))

    async def _post(self, http: httpx.AsyncClient, key: str) -> Position | None:
        url = self.rng.choice(self.servers).url
        began = time.monotonic()
        try:
            answer = await http.post(f"{url}/api/v1/rooms/{ROOM}/messages", json={"content": key, "id": key})
        except httpx.TransportError:
            return None
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self._refused(began)
            return None
        assert answer.status_code in {200, 201}, answer.text
        found = answer.json()
        return Position(found["epoch"], found["offset"])

    async def _write(self, name: str) -> None:
        await self._publish(name, partial(self._say, name))

    async def _say(self, name: str, key: str) -> Position | None:
        peer = self._peers.get(name)
        if not isinstance(peer, Writer) or peer.lost.done():
            server = self.rng.choice(self.servers)
            try:
                peer = await connect(server.port, Writer(name), host=server.host)
                self._peers[name] = peer
                await asyncio.shield(peer.ready)
            except OSError:
                return None
        began = time.monotonic()
        position = await peer.say(key)
        if position is None and not peer.lost.done():
            self._refused(began)
        return position

    def _refused(self, began: float) -> None:
        self.refusals += 1
        self.slowest_refusal_s = max(self.slowest_refusal_s, time.monotonic() - began)

    # -- the end -------------------------------------------------------------------------------------------

    async def rest(self, *, forgetful: bool = False) -> Verdict:
        """Stop publishing, wait until everybody has the last one, and ask the checker."""
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._publishers), 60)
        await asyncio.wait_for(self._post_all(LAST), 30)
        with contextlib.suppress(AssertionError):  # what is missing then is the checker's to say
            await until(self._everyone_has_the_last, why="receivers are behind")
        epochs = {sent.position.epoch for sent in self.sent.values() if sent.position is not None}
        for tail in self.tails:
            if len(tail.epochs) > 1:  # it was told that the log began anew, perhaps more than once meanwhile
                tail.receiver.left_behind |= epochs - tail.epochs
        return check(self.sent.values(), [tail.receiver for tail in self.tails], forgetful=forgetful)

    def _everyone_has_the_last(self) -> bool:
        latest = [tail.receiver.events[-1][0] for tail in self.tails if tail.receiver.events]
        return latest == [f"{LAST}-0"] * len(self.tails)

    async def close(self) -> None:
        """End everybody."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self._peers.values():
            peer.transport.abort()
        for result in results:
            if isinstance(result, Exception):
                raise result
