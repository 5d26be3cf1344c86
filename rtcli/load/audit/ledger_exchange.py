"""The exchange of ledgers: a worker judges its receivers by what all workers have sent and first received.

So the judgement does not depend on which worker a sender or a receiver is in.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from rtcli.load.audit.lifecycle import LOGS_PER_WORKER, Lifecycle
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
    acked: bool
    sent: bytes
    acks: bytes
    positions: dict[int, Position]


@dataclass(frozen=True, slots=True)
class Sights:
    """When receivers of one worker first saw the messages of another one's sender."""

    number: int
    acks: bytes  # as in `SenderLog`: minus the time, or 0
    positions: dict[int, Position]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one worker has to tell the others: the logs of its senders, and what it saw of others' logs."""

    worker: int
    logs: list[ExportedLog]
    sights: list[Sights]


def export_ledger(lifecycle: Lifecycle) -> Ledger:
    """The ledger of this worker."""
    logs = [
        ExportedLog(
            log.number,
            log.publisher,
            log.room,
            log.ended,
            log.earlier,
            log.acked,
            log.sent.tobytes(),
            log.acks.tobytes(),
            _positions(lifecycle.room(log.room), log),
        )
        for log in lifecycle.logs.values()
        if log.owned
    ]
    sights = [
        Sights(log.number, log.acks.tobytes(), _positions(lifecycle.room(log.room), log))
        for log in lifecycle.logs.values()
        if not log.owned and log.room
    ]
    return Ledger(lifecycle.worker, logs, sights)


def _positions(room: Room, log: SenderLog) -> dict[int, Position]:
    """The known positions of a log's messages. Keys are not exported: they differ between workers."""
    if not room.ordered:
        return {}
    known = {number: log.ack_keys.get(number, key) for number, key in enumerate(log.keys)}
    found = ((number, room.position_of(key)) for number, key in known.items() if key)
    return {number: position for number, position in found if position is not None}


def import_ledgers(lifecycle: Lifecycle, ledgers: list[Ledger]) -> None:
    """Add the logs of other workers' senders, and what other workers' receivers saw first."""
    listed = {exported.number for ledger in ledgers for exported in ledger.logs}
    workers = {ledger.worker for ledger in ledgers}
    for log in lifecycle.logs.values():
        if log.number // LOGS_PER_WORKER in workers and log.number not in listed:
            log.withdraw()  # nobody has sent what came with this number
    for ledger in ledgers:
        for exported in ledger.logs:
            _import(lifecycle, exported)
    for ledger in ledgers:
        for sights in ledger.sights:
            _import_sights(lifecycle, sights)


def _import(lifecycle: Lifecycle, exported: ExportedLog) -> None:
    room = lifecycle.room(exported.room)
    log = lifecycle.logs.get(exported.number)
    if log is None:
        log = SenderLog(exported.number, exported.publisher, exported.room, owned=False)
        lifecycle.logs[exported.number] = log
        room.logs.append(log)
    elif log.room != exported.room:
        room.logs.append(log)
    log.complete(
        exported.publisher,
        exported.room,
        ended=exported.ended,
        earlier=exported.earlier,
        acked=exported.acked,
        sent=array("q", exported.sent),
        acks=array("q", exported.acks),
    )
    _add_positions(room, log, exported.positions)


def _import_sights(lifecycle: Lifecycle, sights: Sights) -> None:
    log = lifecycle.logs.get(sights.number)
    if log is not None:
        log.add_sights(array("q", sights.acks))
        _add_positions(lifecycle.room(log.room), log, sights.positions)


def _add_positions(room: Room, log: SenderLog, positions: dict[int, Position]) -> None:
    for number, position in positions.items():
        key = room.key_of(position)
        if key is not None and number < len(log.keys) and not log.keys[number]:
            log.ack_keys.setdefault(number, key)
