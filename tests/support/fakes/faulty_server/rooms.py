"""Rooms with a log each, and fan-out that makes the faults."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from rtcli.load.audit.token import MARK, decode_token, encode_token
from rtcli.protocol.messages import Gap, GapData, encode, format_timestamp
from rtcli.protocol.publication import NEW_MESSAGE, Publication, chat_data
from tests.support.fakes.faulty_server.faults import Faults, subscriber_of

EPOCH = "f4ke"
_TOKEN = re.compile(rb"~rt[A-Za-z0-9_-]{40}~")
_HELD_S = 0.5
_ON_DELIVERY = ("drop", "repeat", "swap", "corrupt", "leak", "misplace", "phantom", "gap")


class Client(Protocol):
    """A connection that receives."""

    user_id: str
    rooms: set[str]

    def deliver(self, publication: Publication) -> None:
        """Write a publication."""
        ...

    def tell(self, event: str, message: bytes, data: bytes) -> None:
        """Write something else: the whole message for WebSockets, its name and data for event streams."""
        ...


@dataclass
class Entry:
    """One publication in a room's log. `ghost`: its sender was told that it failed."""

    publication: Publication
    name: str
    ghost: bool = False


@dataclass
class Room:
    """A room."""

    name: str
    log: list[Entry] = field(default_factory=list)
    members: list[Client] = field(default_factory=list)
    held: dict[int, tuple[Client, Entry]] = field(default_factory=dict)  # kept back, to swap


class Rooms:
    """All rooms."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._rooms: dict[str, Room] = {}
        self._published: Counter[tuple[str, str]] = Counter()

    def __getitem__(self, name: str) -> Room:
        if name not in self._rooms:
            self._rooms[name] = Room(name)
        return self._rooms[name]

    def enter(self, client: Client, name: str) -> None:
        """Make a client a member."""
        client.rooms.add(name)
        if client not in self[name].members:
            self[name].members.append(client)

    def leave(self, client: Client, name: str) -> None:
        """End a membership; what was kept back comes first."""
        room = self[name]
        if id(client) in room.held:
            self._give_up_swap(room, *room.held[id(client)])
        client.rooms.discard(name)
        if client in room.members:
            room.members.remove(client)

    def publish(self, sender: str, room_name: str, content: str, id_: str | None) -> tuple[Entry, bool]:
        """Append and hand out. Returns the entry, and whether the sender is to be told that it failed."""
        room = self[room_name]
        self._published[sender, room_name] += 1
        name = f"{subscriber_of(sender)} #{self._published[sender, room_name]}"
        data = chat_data(
            room=room_name,
            content=self.faults.change(content),
            sender_id=sender,
            sender_name=sender,
            timestamp=format_timestamp(0),
            id=id_,
        )
        refused, ghost = self.faults.roll("refuse"), False
        if refused:
            ghost = self.faults.roll("ghost")
        entry = Entry(
            Publication(f"room:{room_name}", EPOCH, len(room.log) + 1, NEW_MESSAGE, data, 0), name, refused
        )
        if not refused or ghost:
            room.log.append(entry)
            for client in list(room.members):
                if room_name in self.faults.dead_rooms:
                    self.faults.note("lost", client.user_id, room_name, entry.name)
                else:
                    self._hand_out(room, client, entry)
        return entry, refused

    def replay(self, client: Client, name: str, since: int) -> None:
        """Give back what was missed: perhaps not all of it, perhaps too much."""
        missed = [entry for entry in self[name].log[since:] if not entry.ghost]
        if client.user_id.startswith(self.faults.victims) and self.faults.roll("lie"):
            for entry in missed:
                self.faults.lied(client.user_id, name, entry.name)
            return
        before = [entry for entry in self[name].log[:since] if not entry.ghost]
        if before and client.user_id.startswith(self.faults.victims) and self.faults.roll("excess"):
            client.deliver(before[-1].publication)
            self.faults.note("duplicate", client.user_id, name, before[-1].name)
        for entry in missed:
            self.faults.made_good(client.user_id, name, entry.name)
            client.deliver(entry.publication)

    def _hand_out(self, room: Room, client: Client, entry: Entry) -> None:
        faults, user = self.faults, client.user_id
        if entry.ghost:
            faults.note("ghost", user, room.name, entry.name)
            client.deliver(entry.publication)
            return
        kind = faults.pick(_ON_DELIVERY, user)
        if kind == "swap" and id(client) not in room.held:
            room.held[id(client)] = (client, entry)
            asyncio.get_running_loop().call_later(_HELD_S, self._give_up_swap, room, client, entry)
            return
        if kind == "drop":
            faults.note("lost", user, room.name, entry.name)
            return
        if kind == "gap":
            faults.declared += 1
            self._tell_gap(client, entry)
            return
        if kind == "corrupt":
            faults.note("corrupt", user, room.name, entry.name)
            client.deliver(_changed(entry.publication, data=_spoil(entry.publication.data)))
            return
        client.deliver(entry.publication)
        self._flush(room, client)
        if kind == "repeat":
            faults.note("duplicate", user, room.name, entry.name)
            client.deliver(entry.publication)
        elif kind == "phantom":
            faults.note("phantom", user, room.name, "")
            client.deliver(_changed(entry.publication, data=_invent(entry.publication.data)))
        elif kind == "leak":
            self._leak(room, entry)
        elif kind == "misplace":
            self._misplace(room, client, entry)

    def _flush(self, room: Room, client: Client) -> None:
        """Deliver what was kept back, behind what has just been delivered."""
        held = room.held.pop(id(client), None)
        if held is not None:
            self.faults.note("reordered", client.user_id, room.name, held[1].name)
            client.deliver(held[1].publication)

    def _give_up_swap(self, room: Room, client: Client, entry: Entry) -> None:
        """Nothing came to swap it with: deliver it where it belongs."""
        held = room.held.get(id(client))
        if held is not None and held[1] is entry:
            del room.held[id(client)]
            client.deliver(entry.publication)

    def _leak(self, room: Room, entry: Entry) -> None:
        """Give it to somebody who is not a member."""
        for other in self._rooms.values():
            for client in other.members:
                if room.name not in client.rooms and client.user_id.startswith(self.faults.victims):
                    self.faults.note("leak", client.user_id, room.name, entry.name)
                    client.deliver(entry.publication)
                    return

    def _misplace(self, room: Room, client: Client, entry: Entry) -> None:
        """Give it to the same user once more, in another of its rooms."""
        others = sorted(client.rooms - {room.name})
        if others:
            self.faults.note("leak", client.user_id, others[0], entry.name)
            old, new = f'"room":"{room.name}"'.encode(), f'"room":"{others[0]}"'.encode()
            data = entry.publication.data.replace(old, new)
            client.deliver(_changed(entry.publication, channel=f"room:{others[0]}", data=data))

    def _tell_gap(self, client: Client, entry: Entry) -> None:
        offset = entry.publication.offset
        room = entry.publication.channel.removeprefix("room:")
        data = GapData(
            room=room, from_=f"{EPOCH}-{offset - 1}", to=f"{EPOCH}-{offset}", lost=1, reason="trimmed"
        )
        client.tell("gap", encode(Gap(data=data)), encode(data))


def _changed(publication: Publication, *, data: bytes, channel: str | None = None) -> Publication:
    return Publication(
        channel or publication.channel,
        publication.epoch,
        publication.offset,
        publication.event,
        data,
        publication.time_ms,
    )


def _spoil(data: bytes) -> bytes:
    """Change one letter of the token."""
    at = data.find(MARK) + 9
    return data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]


def _invent(data: bytes) -> bytes:
    """Put in the token of a message that was never sent."""
    match = _TOKEN.search(data)
    assert match is not None
    token = decode_token(match[0])
    assert token is not None
    fake = encode_token(*token._replace(number=token.number + 100_000))
    return data.replace(match[0], fake)
