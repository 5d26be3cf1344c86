"""The one checker of all fault tests: what was sent and acknowledged, against what each receiver got.

Publishers record every attempt and its outcome, receivers every event with its position, every gap they were
told of, and every epoch change. `check` then holds the promises of docs/protocol.md section 7 against them.
It is pure: a fault test feeds it, prints its summary into the log, and asserts that it found nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from rtcli.protocol.position import Position


class Outcome(Enum):
    """What its publisher knows about a publish."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"  # an error answer: it must not exist
    UNKNOWN = "unknown"  # the answer was lost: it may exist, once


@dataclass(frozen=True, slots=True)
class Sent:
    """One publish: `key` is its idempotency key, unique in the run; `position` is known once acknowledged."""

    key: str
    room: str
    outcome: Outcome
    position: Position | None = None


@dataclass(slots=True)
class Receiver:
    """What one receiver got in one room, in order of arrival: `(key, position)`.

    `start` is the position at which it joined; it must get everything acknowledged after it. A `gaps` entry
    `(epoch, first, last)` says that those offsets will not come; an epoch in `left_behind` was declared lost.
    """

    name: str
    room: str
    start: Position
    events: list[tuple[str, Position]] = field(default_factory=list)
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    left_behind: set[str] = field(default_factory=set)

    def was_told_of(self, position: Position) -> bool:
        """Whether the receiver was told that this publication would not come."""
        return position.epoch in self.left_behind or any(
            epoch == position.epoch and first <= position.offset <= last for epoch, first, last in self.gaps
        )


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise, with the receiver (empty: none in particular) and what shows it."""

    rule: str
    receiver: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and the counts that show that there was something to find it in."""

    violations: list[Violation]
    acknowledged: int
    unknown: int
    refused: int
    deliveries: int
    declared_lost: int

    def summary(self) -> str:
        """One line for the log of a test."""
        return (
            f"{self.acknowledged} acknowledged, {self.unknown} unknown, {self.refused} refused; "
            f"{self.deliveries} deliveries, {self.declared_lost} declared lost; "
            f"{len(self.violations)} violations"
        )


def check(sent: Iterable[Sent], receivers: Iterable[Receiver], *, forgetful: bool = False) -> Verdict:
    """Hold the promises against the records. Receivers must be drained: nothing is on its way.

    `forgetful`: the log itself may be lost, with the idempotency keys in it. Then a publish that was
    repeated, because its answer was lost as well, counts once in each epoch and not once in all.
    """
    by_key = {record.key: record for record in sent}
    receivers = list(receivers)
    violations: list[Violation] = []
    for receiver in receivers:
        violations += _order(receiver, forgetful=forgetful)
        violations += _only_what_was_sent(receiver, by_key)
    violations += _one_log(receivers, by_key, forgetful=forgetful)
    declared = 0
    for receiver in receivers:
        missing, told = _missing(receiver, by_key.values())
        violations += missing
        declared += told
    outcomes = [record.outcome for record in by_key.values()]
    return Verdict(
        violations=violations,
        acknowledged=outcomes.count(Outcome.ACKNOWLEDGED),
        unknown=outcomes.count(Outcome.UNKNOWN),
        refused=outcomes.count(Outcome.REFUSED),
        deliveries=sum(len(receiver.events) for receiver in receivers),
        declared_lost=declared,
    )


def _counted_as(key: str, position: Position, *, forgetful: bool) -> tuple[str, str]:
    """What may be there only once."""
    return key, position.epoch if forgetful else ""


def _order(receiver: Receiver, *, forgetful: bool) -> list[Violation]:
    """Offsets rise strictly as long as the epoch stays; an epoch never comes back; no key comes twice."""
    found = []
    last: Position | None = None
    seen_epochs: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for key, position in receiver.events:
        if last is not None and position.epoch == last.epoch and position.offset <= last.offset:
            found.append(Violation("offsets rise", receiver.name, f"{position} after {last}"))
        if last is None or position.epoch != last.epoch:
            if position.epoch in seen_epochs:
                found.append(Violation("an epoch never returns", receiver.name, f"{position} after {last}"))
            seen_epochs.add(position.epoch)
        once = _counted_as(key, position, forgetful=forgetful)
        if once in seen:
            found.append(Violation("nothing twice", receiver.name, f"{key} at {position}"))
        seen.add(once)
        last = position
    return found


def _only_what_was_sent(receiver: Receiver, by_key: dict[str, Sent]) -> list[Violation]:
    found = []
    for key, position in receiver.events:
        record = by_key.get(key)
        if record is None or record.room != receiver.room:
            found.append(Violation("nothing that was not sent there", receiver.name, f"{key} at {position}"))
        elif record.outcome is Outcome.REFUSED:
            found.append(Violation("nothing that was refused", receiver.name, f"{key} at {position}"))
    return found


def _one_log(receivers: list[Receiver], by_key: dict[str, Sent], *, forgetful: bool) -> list[Violation]:
    """A position holds one publication and a publication one position: for all receivers and for the ack."""
    found = []
    key_at: dict[tuple[str, Position], str] = {}
    position_of: dict[tuple[str, str], Position] = {
        _counted_as(record.key, record.position, forgetful=forgetful): record.position
        for record in by_key.values()
        if record.position is not None
    }
    for receiver in receivers:
        for key, position in receiver.events:
            if key_at.setdefault((receiver.room, position), key) != key:
                other = key_at[receiver.room, position]
                found.append(
                    Violation("one order for all", receiver.name, f"{position}: {key}, elsewhere {other}")
                )
            once = _counted_as(key, position, forgetful=forgetful)
            if position_of.setdefault(once, position) != position:
                evidence = f"{key} at {position}, elsewhere {position_of[once]}"
                found.append(Violation("one place each", receiver.name, evidence))
    return found


def _missing(receiver: Receiver, sent: Iterable[Sent]) -> tuple[list[Violation], int]:
    """Everything acknowledged after the receiver's start came, or the receiver was told."""
    got = {key for key, _ in receiver.events}
    missing: dict[str, list[str]] = defaultdict(list)
    told = 0
    for record in sent:
        if record.outcome is not Outcome.ACKNOWLEDGED or record.room != receiver.room or record.key in got:
            continue
        assert record.position is not None
        if record.position.epoch == receiver.start.epoch and record.position.offset <= receiver.start.offset:
            continue
        if receiver.was_told_of(record.position):
            told += 1
        else:
            missing[record.position.epoch].append(f"{record.key} at {record.position}")
    return [
        Violation(
            "acknowledged means delivered", receiver.name, f"{len(keys)} missing: {', '.join(keys[:5])}"
        )
        for keys in missing.values()
    ], told
