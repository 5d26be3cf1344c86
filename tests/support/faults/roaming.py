"""Receivers and publishers that live through anything, on any instance: raw sockets that note what came.

Nothing here drops what came twice or hides a gap, as a client would for its user: the checker is to see it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rtcli.protocol.position import MAX_OFFSET, Position, parse_position
from tests.support.checker import Receiver
from tests.support.clients.peers import StreamPeer, WsPeer
from tests.support.faults.crowd import ROOM


class Tail:
    """What one receiver got, for the checker, and where it stands: there it would resume."""

    def __init__(self, name: str) -> None:
        self.receiver = Receiver(name, ROOM, Position("", -1))
        self.at: Position | None = None
        self.cursor = ""  # of an event stream
        self.epochs: set[str] = set()  # that it was in
        self.reasons: list[str] = []  # why something would not come
        self.unavailable = 0  # how often it was not let in because the log was away

    @property
    def name(self) -> str:
        """Its user."""
        return self.receiver.name

    def enter(self, top: Position, state: dict[str, Any]) -> None:
        """The room was joined. `state`: whether this recovered, when it was to be a resume, and why not."""
        if self.at is None:
            self.receiver.start = self.at = top
            self.epochs.add(top.epoch)
        elif not state["recovered"]:
            self.told(top, state["reason"])

    def got(self, data: dict[str, Any]) -> None:
        """A publication has come."""
        self.at = Position(data["epoch"], data["offset"])
        self.epochs.add(self.at.epoch)
        self.receiver.events.append((data["content"], self.at))

    def told(self, to: Position, reason: str) -> None:
        """What lies between here and `to` will not come."""
        self.reasons.append(reason)
        assert self.at is not None
        since, gaps = self.at, self.receiver.gaps
        if to.epoch != since.epoch:
            gaps.append((since.epoch, since.offset + 1, MAX_OFFSET))
            since = Position(to.epoch, 0)
        if to.offset > since.offset:
            gaps.append((to.epoch, since.offset + 1, to.offset))
        self.at = to
        self.epochs.add(to.epoch)


class TailSocket(WsPeer):
    """A tail's WebSocket, which joins where the tail stands."""

    def __init__(self, tail: Tail) -> None:
        super().__init__(tail.name)
        self._tail = tail

    def answered(self) -> None:
        where = {} if self._tail.at is None else {"since": str(self._tail.at)}
        self.send("join_room", room=ROOM, **where)

    def on_message(self, message: dict[str, Any]) -> None:
        data = message.get("data", {})
        match message["type"]:
            case "room_joined":
                self._tail.enter(parse_position(data["position"]), data)
                self.ready.set_result(None)
            case "new_message":
                self._tail.got(data)
            case "gap":
                self._tail.told(parse_position(data["to"]), data["reason"])
            case "ping":
                self.send("pong")
            case "closing":
                self.closing = data
            case "error":  # the log is away, so there is no joining: try elsewhere
                self._tail.unavailable += 1
                self.transport.abort()


class TailStream(StreamPeer):
    """A tail's event stream, which resumes from the tail's cursor."""

    def __init__(self, tail: Tail) -> None:
        super().__init__(tail.name, [ROOM], last_event_id=tail.cursor or None)
        self._tail = tail

    def on_event(self, name: str, data: dict[str, Any], id_: str) -> None:
        match name:
            case "ready":
                state = data["channels"][ROOM]
                self._tail.enter(parse_position(state["position"]), state)
                self.ready.set_result(None)
            case "new_message":
                self._tail.got(data)
            case "gap" if data["room"] == ROOM:
                self._tail.told(parse_position(data["to"]), data["reason"])
            case "closing":
                self.closing = data
                self._tail.unavailable += data["reason"] == "unavailable"
        self._tail.cursor = id_ or self._tail.cursor


class Writer(WsPeer):
    """A publisher's WebSocket."""

    def __init__(self, name: str) -> None:
        super().__init__(name, [ROOM])
        self._answers: dict[str, asyncio.Future[Position | None]] = {}

    async def say(self, key: str) -> Position | None:
        """Publish `key` under itself; returns its position, or None when it was refused or is not known."""
        if self.lost.done():
            return None
        answer: asyncio.Future[Position | None] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self.send("chat_message", key, room=ROOM, content=key)
        return await answer

    def on_message(self, message: dict[str, Any]) -> None:
        data = message.get("data", {})
        match message["type"]:
            case "room_joined":
                self.ready.set_result(None)
            case "ack":
                self._answers.pop(message["id"]).set_result(Position(data["epoch"], data["offset"]))
            case "error" if not self.ready.done():  # the log is away, so there is no joining
                self.transport.abort()
            case "error" if data["code"] == "unavailable":
                self._answers.pop(message["id"]).set_result(None)
            case "error":
                self._answers.pop(message["id"]).set_exception(AssertionError(data))
            case "ping":
                self.send("pong")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for answer in self._answers.values():
            answer.set_result(None)
