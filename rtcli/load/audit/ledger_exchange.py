"""Ledgers between workers: who receives in one worker what was sent by another is judged by what was sent."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from rtcli.load.audit.lifecycle import Roster
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import Stream
from rtcli.protocol.position import Position


@dataclass(frozen=True, slots=True)
class StreamLedger:
    """One stream as its sender knows it: the arrays of `Stream` as bytes, and positions by number."""

    number: int
    publisher: str
    room: str
    wants_acks: bool
    ended: int | None
    earlier: int
    sent: bytes
    acks: bytes
    positions: dict[int, Position]


Ledger = list[StreamLedger]


def export_ledger(roster: Roster) -> Ledger:
    """What this worker has sent."""
    return [
        StreamLedger(
            stream.number,
            stream.publisher,
            stream.room,
            stream.wants_acks,
            stream.ended,
            stream.earlier,
            stream.sent.tobytes(),
            stream.acks.tobytes(),
            _positions(roster.room(stream.room), stream),
        )
        for stream in roster.streams.values()
        if stream.owned
    ]


def _positions(room: Room, stream: Stream) -> dict[int, Position]:
    """The positions of a stream's messages, as far as anything told them: keys mean something here only."""
    if not room.ordered:
        return {}
    known = {number: stream.ack_keys.get(number, key) for number, key in enumerate(stream.keys)}
    found = ((number, room.position_of(key)) for number, key in known.items() if key)
    return {number: position for number, position in found if position is not None}


def import_ledgers(roster: Roster, ledgers: list[Ledger]) -> None:
    """Take in what other workers have sent."""
    for ledger in ledgers:
        for told in ledger:
            _import(roster, told)


def _import(roster: Roster, told: StreamLedger) -> None:
    stream = roster.streams.get(told.number)
    sent, acks = array("q", told.sent), array("q", told.acks)
    if stream is None:
        stream = Stream(told.number, told.publisher, told.room, owned=False, wants_acks=told.wants_acks)
        roster.streams[told.number] = stream
        roster.room(told.room).streams.append(stream)
    stream.publisher, stream.room = told.publisher, told.room
    stream.wants_acks, stream.ended, stream.earlier = told.wants_acks, told.ended, told.earlier
    if sent:
        stream.grow(len(sent) - 1)
    # What was seen beyond the end of the ledger was never sent.
    stream.sent = sent + array("q", bytes(8 * (len(stream.sent) - len(sent))))
    stream.acks = acks + array("q", bytes(8 * (len(stream.acks) - len(acks))))
    room = roster.room(told.room)
    for number, position in told.positions.items():
        key = room.key_of(position)
        if key is not None and not stream.keys[number]:
            stream.ack_keys[number] = key
