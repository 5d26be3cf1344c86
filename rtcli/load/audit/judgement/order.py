"""The end of the audit: who received messages out of order.

If the protocol gives positions, they are the order; if the scenario asks for the order of each publisher
only, the publisher's is. Otherwise the order is that of first arrivals, which may be wrong: stretches in
which somebody disagrees with it are ordered again, by what all their receivers saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from rtcli.load.audit.judgement.rank_aggregation import agreed_order
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import message_id, split_id


class Reordered(NamedTuple):
    """A delivery out of order: the message's id, the id of the later one before it, and its finding."""

    member: Membership
    identity: int
    after: int
    finding: Finding | None


def settle_order(rooms: Mapping[str, Room], findings: Iterable[Finding], order: str) -> Iterator[Reordered]:
    """Every delivery that breaks the order of its room or its publisher, once each.

    `order` is the scenario's; `findings` are the reordered deliveries that were recorded when they came.
    """
    by_room: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_room[finding.room].append(finding)
    for name, room in rooms.items():
        is_certain = room.ordered or order == "per-publisher"
        yield from _as_placed(room, by_room[name]) if is_certain else _as_received(room, by_room[name])


# -- an order that is certain ------------------------------------------------------------------------------


def _as_placed(room: Room, findings: list[Finding]) -> Iterator[Reordered]:
    """The findings, and who received two messages of a publisher whose positions are the wrong way round."""
    named: dict[tuple[int, int], Reordered] = {}
    findings = [finding for finding in findings if not _follows_a_phantom(room, finding, findings)]
    for finding in findings:
        if finding.member is not None:
            item = Reordered(finding.member, finding.identity, finding.reference, finding)
            named[id(finding.member), finding.identity] = item
    for (earlier, key), (later, later_key) in _inversions(room):
        for member in _all(room):
            both = member.received(earlier, key) and member.received(later, later_key)
            if both and (id(member), later) not in named:
                named.setdefault((id(member), earlier), Reordered(member, earlier, later, None))
    yield from named.values()


def _follows_a_phantom(room: Room, finding: Finding, findings: list[Finding]) -> bool:
    """Whether the delivery was out of order only with a message that nobody sent."""
    member = finding.member
    logs = {log.number: log for log in room.logs}
    reference, number = split_id(finding.reference)
    log = logs.get(reference)
    if member is None or log is None or log.sent[number]:
        return False
    own, its_number = split_id(finding.identity)
    low, high = logs[own].keys[its_number], log.keys[number]
    late = {it.identity for it in findings if it.member is member and it.at >= finding.at}
    return not any(
        log.sent[number]
        and low < key < high
        and message_id(log.number, number) not in late
        and member.received(message_id(log.number, number), key)
        for log in room.logs
        for number, key in enumerate(log.keys)
    )


def _inversions(room: Room) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of an earlier message with a higher key than a later one of its log; each as (id, key)."""
    for log in room.logs:
        lowest, its_number = 0, 0
        for number in range(len(log.keys) - 1, -1, -1):
            key = log.keys[number]
            if not key or not log.sent[number]:  # it was never sent
                continue
            if lowest and lowest < key:
                later = message_id(log.number, its_number)
                yield (message_id(log.number, number), key), (later, lowest)
            else:
                lowest, its_number = key, number


def _all(room: Room) -> Iterator[Membership]:
    return chain(room.memberships, room.released)


# -- an order that has to be found -------------------------------------------------------------------------


@dataclass(slots=True)
class Stretch:
    """A part of the room's order, from key `low` to `high`: its messages, and who received some late."""

    low: int
    high: int
    keys: dict[int, int] = field(default_factory=dict)  # by the message's id, rising
    late: defaultdict[int, dict[int, Finding]] = field(default_factory=lambda: defaultdict(dict))
    """By the membership's id() and the message's, in order of arrival."""
    published: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The messages of each log, by its number, in the order in which they were sent."""


def _as_received(room: Room, findings: list[Finding]) -> Iterator[Reordered]:
    """Deliveries against the order that every publisher and most receivers agree with."""
    for stretch in _stretches(room, findings):
        sequences = [(member, _sequence(member, stretch)) for member in _all(room)]
        seen = Counter(sequence for _, sequence in sequences)
        enough = len(sequences) * len(stretch.keys) ** 2 + 1  # more than any majority of receivers
        for published in stretch.published.values():
            seen[tuple(published)] += enough
        rank = {identity: place for place, identity in enumerate(agreed_order(list(stretch.keys), seen))}
        for member, sequence in sequences:
            late = stretch.late.get(id(member), {})
            for identity, after in _late_in(sequence, rank):
                yield Reordered(member, identity, after, late.get(identity))


def _stretches(room: Room, findings: list[Finding]) -> list[Stretch]:
    """The parts of the order that somebody disagrees with, each as short as possible."""
    logs = {log.number: log for log in room.logs}

    def key_of(identity: int) -> int:
        log_number, number = split_id(identity)
        return logs[log_number].keys[number]

    found = [(key_of(finding.identity), key_of(finding.reference), finding) for finding in findings]
    parts = _merged(
        [(low, high) for low, high, _ in found] + [(low, high) for (_, high), (_, low) in _inversions(room)]
    )
    lows = [part.low for part in parts]
    for low, _, finding in found:
        parts[bisect_right(lows, low) - 1].late[id(finding.member)][finding.identity] = finding
    if parts:
        _fill(room, parts, lows)
    return parts


def _fill(room: Room, parts: list[Stretch], lows: list[int]) -> None:
    """Add its messages to each stretch."""
    for log in room.logs:
        for number, key in enumerate(log.keys):
            part = parts[max(0, bisect_right(lows, key) - 1)]
            if part.low <= key <= part.high and log.sent[number]:  # else it was never sent
                identity = message_id(log.number, number)
                part.keys[identity] = key
                part.published[log.number].append(identity)
    for part in parts:
        part.keys = dict(sorted(part.keys.items(), key=itemgetter(1)))


def _merged(intervals: list[tuple[int, int]]) -> list[Stretch]:
    """Merge the intervals of keys that overlap."""
    parts: list[Stretch] = []
    for low, high in sorted(intervals):
        if parts and low <= parts[-1].high:
            parts[-1].high = max(parts[-1].high, high)
        else:
            parts.append(Stretch(low, high))
    return parts


def _sequence(member: Membership, stretch: Stretch) -> tuple[int, ...]:
    """The ids of a stretch's messages that a membership received, in the order of arrival."""
    late = stretch.late.get(id(member), {})
    keys = stretch.keys.keys()
    covers = member.start_key < stretch.low and stretch.high <= member.cursor.key
    if (
        covers
        and not late
        and keys.isdisjoint(member.missing.keys())
        and keys.isdisjoint(member.damaged or ())
    ):
        return tuple(keys)  # the usual case
    behind: defaultdict[int, list[int]] = defaultdict(list)
    for identity, finding in late.items():
        behind[finding.reference].append(identity)
    sequence: list[int] = []
    for identity, key in stretch.keys.items():
        if identity not in late and member.received(identity, key):
            sequence.append(identity)
            sequence.extend(behind[identity] if late else ())
    return tuple(sequence)


def _late_in(sequence: tuple[int, ...], rank: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Messages that came after a later one, each with that one."""
    ahead = -1
    for identity in sequence:
        if ahead >= 0 and rank[identity] < rank[ahead]:
            yield identity, ahead
        else:
            ahead = identity
