"""Publishers and receivers that never come back: what each was told must be true as it stands.

The crowd of `deployment` mends what breaks, as users' clients do. These do not: a publish that was refused is
not repeated, so a refusal that was not true shows; and a connection that was lost stays lost.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from rtcli.protocol.position import Position, parse_position
from tests.support.checker import Outcome, Receiver, Sent, Verdict, check
from tests.support.clients.peers import StreamPeer, WsPeer, connect, drop, token
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import until

ROOM = "general"


class Writer(WsPeer):
    """Says each text once, and notes in `sent` what it was answered."""

    def __init__(self, sub: str, *, bearer: str | None = None) -> None:
        super().__init__(sub, [ROOM], bearer=bearer)
        self.sent: dict[str, Sent] = {}
        self._sub = sub

    def say(self, padding: int = 0) -> str:
        """Publish one text of at least `padding` characters; return its key."""
        key = f"{self._sub}-{len(self.sent)}"
        self.sent[key] = Sent(key, ROOM, Outcome.UNKNOWN)
        self.send("chat_message", key, room=ROOM, content=key + "." * padding)
        return key

    def on_message(self, message: dict[str, Any]) -> None:
        super().on_message(message)
        key, data = message.get("id"), message.get("data", {})
        if key not in self.sent:
            return
        if message["type"] == "ack":
            place = Position(data["epoch"], data["offset"])
            self.sent[key] = Sent(key, ROOM, Outcome.ACKNOWLEDGED, place)
        elif message["type"] == "error":
            assert data["code"] == "unavailable", data
            self.sent[key] = Sent(key, ROOM, Outcome.REFUSED)

    async def say_all(self, count: int, padding: int = 0) -> list[Outcome]:
        """Publish several texts, one at a time, and wait for each answer; return the outcomes."""
        keys = []
        for _ in range(count):
            keys.append(self.say(padding))
            await until(lambda: self.outcome(keys[-1]) is not Outcome.UNKNOWN, why=f"no answer to {keys[-1]}")
        return [self.outcome(key) for key in keys]

    def outcome(self, key: str) -> Outcome:
        """What is known of a text."""
        return self.sent[key].outcome


def receiver(name: str, peer: WsPeer | StreamPeer) -> Receiver:
    """What a peer was told in the room since it joined."""
    messages = (
        [(m["type"], m.get("data", {})) for m in peer.messages] if isinstance(peer, WsPeer) else peer.events
    )
    record = Receiver(name, ROOM, Position("", -1))
    for kind, data in messages:
        if kind == "room_joined":
            record.start = parse_position(data["position"])
        elif kind == "ready":
            record.start = parse_position(data["channels"][ROOM]["position"])
        elif kind == "new_message" and data["room"] == ROOM:
            record.events.append((data["id"], Position(data["epoch"], data["offset"])))
        elif kind == "gap":
            first, last = parse_position(data["from"]), parse_position(data["to"])
            record.gaps.append((first.epoch, first.offset + 1, last.offset))
    return record


class Scene:
    """One publisher, and receivers on both transports, in one room of one server."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.writer: Writer
        self.peers: dict[str, WsPeer | StreamPeer] = {}

    @classmethod
    async def on(cls, server: ServerProcess, *, bearer: str | None = None) -> Scene:
        """Connect everybody."""
        scene = cls(server)
        scene.writer = await connect(server.port, Writer("writer", bearer=bearer))
        sockets = {f"ws{n}": WsPeer(f"ws{n}", [ROOM], bearer=bearer) for n in range(2)}
        streams = {f"sse{n}": StreamPeer(f"sse{n}", [ROOM], bearer=bearer) for n in range(2)}
        scene.peers = {**sockets, **streams, "writer": scene.writer}
        for peer in (*sockets.values(), *streams.values()):
            await connect(server.port, peer)
        for joining in scene.peers.values():
            await joining.ready
        return scene

    @property
    def sent(self) -> dict[str, Sent]:
        """What became of each text."""
        return self.writer.sent

    def count(self, outcome: Outcome) -> int:
        """How many texts had that outcome."""
        return sum(record.outcome is outcome for record in self.sent.values())

    def lost(self) -> list[str]:
        """Whose connection is gone."""
        return [name for name, peer in self.peers.items() if peer.lost.done()]

    async def verdict(self, *more: Receiver) -> Verdict:
        """Wait until everybody has what was acknowledged, and ask the checker; `more` receivers, too."""
        wanted = self.count(Outcome.ACKNOWLEDGED)

        def records() -> list[Receiver]:
            return [receiver(name, peer) for name, peer in self.peers.items()]

        await until(
            lambda: all(len(record.events) >= wanted for record in records()), why="receivers are behind"
        )
        return check(self.sent.values(), [*records(), *more])

    def end(self) -> None:
        """Cut them all."""
        drop(self.peers.values())


async def kept(server: ServerProcess, start: Position) -> Receiver:
    """Read the room's log after `start` over HTTP, page by page: a receiver of what is really there."""
    record = Receiver("what is kept", ROOM, start)
    headers = {"Authorization": f"Bearer {token('reader')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        since, more = str(start), True
        while more:
            answer = await http.get(f"/api/v1/rooms/{ROOM}/messages", params={"since": since, "limit": 200})
            assert answer.status_code == httpx.codes.OK, answer.text
            page = answer.json()
            record.events += [(m["id"], Position(m["epoch"], m["offset"])) for m in page["messages"]]
            since, more = page["next"], page["more"]
    return record


async def status(server: ServerProcess, path: str) -> int:
    """The status of a GET."""
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{server.url}{path}")).status_code


async def until_status(server: ServerProcess, path: str, wanted: int, *, timeout_s: float = 30.0) -> None:
    """Wait until a GET has that status."""
    deadline = time.monotonic() + timeout_s
    while (seen := await status(server, path)) != wanted:
        assert time.monotonic() < deadline, f"{path} answers {seen}, not {wanted}"
        await asyncio.sleep(0.05)
