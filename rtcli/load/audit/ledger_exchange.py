"""The exchange of ledgers: a worker judges its receivers by what all workers have sent.

A ledger is all sender logs of one worker.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from rtcli.load.audit.lifecycle import Lifecycle
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import SenderLog
from rtcli.protocol.position import Position


@dataclass(frozen=True, slots=True)
class ExportedLog:
    """A sender log for other workers: the arrays of `SenderLog` as bytes, and positions by number."""

    number: int
    publisher: str
    room: str
    ended: int | None
    earlier: int
    sent: bytes
    acks: bytes
    positions: dict[int, Position]


Ledger = list[ExportedLog]


def export_ledger(lifecycle: Lifecycle) -> Ledger:
    """The logs of this worker's own senders."""
    return [
        ExportedLog(
            log.number,
            log.publisher,
            log.room,
            log.ended,
            log.earlier,
            log.sent.tobytes(),
            log.acks.tobytes(),
            _positions(lifecycle.room(log.room), log),
        )
        for log in lifecycle.logs.values()
        if log.owned
    ]


def _positions(room: Room, log: SenderLog) -> dict[int, Position]:
    """The known positions of a log's messages. Keys are not exported: they differ between workers."""
    if not room.ordered:
        return {}
    known = {number: log.ack_keys.get(number, key) for number, key in enumerate(log.keys)}
    found = ((number, room.position_of(key)) for number, key in known.items() if key)
    return {number: position for number, position in found if position is not None}


def import_ledgers(lifecycle: Lifecycle, ledgers: list[Ledger]) -> None:
    """Add the logs of other workers' senders."""
    for ledger in ledgers:
        for exported in ledger:
            _import(lifecycle, exported)


def _import(lifecycle: Lifecycle, exported: ExportedLog) -> None:
    log = lifecycle.logs.get(exported.number)
    sent, acks = array("q", exported.sent), array("q", exported.acks)
    if log is None:
        log = SenderLog(exported.number, exported.publisher, exported.room, owned=False)
        lifecycle.logs[exported.number] = log
        lifecycle.room(exported.room).logs.append(log)
    log.publisher, log.room = exported.publisher, exported.room
    log.ended, log.earlier = exported.ended, exported.earlier
    if sent:
        log.grow(len(sent) - 1)
    # Messages that were received beyond the end of the log were never sent.
    log.sent = sent + array("q", bytes(8 * (len(log.sent) - len(sent))))
    log.acks = acks + array("q", bytes(8 * (len(log.acks) - len(acks))))
    room = lifecycle.room(exported.room)
    for number, position in exported.positions.items():
        key = room.key_of(position)
        if key is not None and not log.keys[number]:
            log.ack_keys[number] = key
