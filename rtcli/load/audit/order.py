"""Who received messages out of order, once the room's order can be settled.

Where the protocol tells positions, the order is theirs, and where the scenario asks for the order of each
publisher only, it is the publisher's. Otherwise the order was taken from the first arrivals, which may be the
wrong ones: stretches in which somebody disagrees with it are settled again, from what every receiver of them
saw.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from rtcli.load.audit.membership import Membership
from rtcli.load.audit.rank_aggregation import agreed_order
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import message_id, split_id


class Named(NamedTuple):
    """Who received which message after which other, and what was seen of it (if anything)."""

    member: Membership
    identity: int
    after: int
    finding: Finding | None


def settle_order(rooms: Mapping[str, Room], findings: Iterable[Finding], order: str) -> Iterator[Named]:
    """Every delivery against the order of its room or its publisher (`order`), once each."""
    by_room: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_room[finding.room].append(finding)
    for name, room in rooms.items():
        is_certain = room.ordered or order == "per-publisher"
        yield from _as_placed(room, by_room[name]) if is_certain else _as_received(room, by_room[name])


# -- an order that is certain ------------------------------------------------------------------------------


def _as_placed(room: Room, findings: list[Finding]) -> Iterator[Named]:
    """What was found as it came, and who got a later message of a publisher at a lower position."""
    named: dict[tuple[int, int], Named] = {}
    for finding in findings:
        if finding.member is not None:
            item = Named(finding.member, finding.identity, finding.reference, finding)
            named[id(finding.member), finding.identity] = item
    for (earlier, key), (later, later_key) in _inversions(room):
        for member in _all(room):
            both = member.received(earlier, key) and member.received(later, later_key)
            if both and (id(member), later) not in named:
                named.setdefault((id(member), earlier), Named(member, earlier, later, None))
    yield from named.values()


def _inversions(room: Room) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Messages that stand after a later one of their stream, with that one; each as (id, key)."""
    for stream in room.streams:
        lowest, its_number = 0, 0
        for number in range(len(stream.keys) - 1, -1, -1):
            key = stream.keys[number]
            if not key or not stream.sent[number]:  # what was never sent has no place in a stream
                continue
            if lowest and lowest < key:
                later = message_id(stream.number, its_number)
                yield (message_id(stream.number, number), key), (later, lowest)
            else:
                lowest, its_number = key, number


def _all(room: Room) -> Iterator[Membership]:
    return chain(room.memberships, room.released)


# -- an order that has to be found -------------------------------------------------------------------------


@dataclass(slots=True)
class Stretch:
    """A part of the room's order, from one key to another: its messages, and who got some of them late."""

    low: int
    high: int
    keys: dict[int, int] = field(default_factory=dict)  # by the message's id, rising
    late: defaultdict[int, dict[int, Finding]] = field(default_factory=lambda: defaultdict(dict))
    """By the membership's id() and the message's, in order of arrival."""
    published: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Each publisher's messages, by the stream's number, as it sent them."""


def _as_received(room: Room, findings: list[Finding]) -> Iterator[Named]:
    """Who disagrees with the order that most receivers agree with, and every publisher."""
    for stretch in _stretches(room, findings):
        sequences = [(member, _sequence(member, stretch)) for member in _all(room)]
        seen = Counter(sequence for _, sequence in sequences)
        enough = len(sequences) * len(stretch.keys) ** 2 + 1  # no majority outweighs a publisher's order
        for published in stretch.published.values():
            seen[tuple(published)] += enough
        rank = {identity: place for place, identity in enumerate(agreed_order(list(stretch.keys), seen))}
        for member, sequence in sequences:
            late = stretch.late.get(id(member), {})
            for identity, after in _late_in(sequence, rank):
                yield Named(member, identity, after, late.get(identity))


def _stretches(room: Room, findings: list[Finding]) -> list[Stretch]:
    """The parts of the order that somebody disagrees with, each as short as can be judged by itself."""
    streams = {stream.number: stream for stream in room.streams}

    def key_of(identity: int) -> int:
        number, place = split_id(identity)
        return streams[number].keys[place]

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
    """Give each stretch its messages."""
    for stream in room.streams:
        for place, key in enumerate(stream.keys):
            part = parts[max(0, bisect_right(lows, key) - 1)]
            if part.low <= key <= part.high:
                identity = message_id(stream.number, place)
                part.keys[identity] = key
                if stream.sent[place]:  # what was never sent has no place in a stream
                    part.published[stream.number].append(identity)
    for part in parts:
        part.keys = dict(sorted(part.keys.items(), key=itemgetter(1)))


def _merged(intervals: list[tuple[int, int]]) -> list[Stretch]:
    """Intervals of keys, those that overlap as one."""
    parts: list[Stretch] = []
    for low, high in sorted(intervals):
        if parts and low <= parts[-1].high:
            parts[-1].high = max(parts[-1].high, high)
        else:
            parts.append(Stretch(low, high))
    return parts


def _sequence(member: Membership, stretch: Stretch) -> tuple[int, ...]:
    """What a membership received of a stretch, as it came."""
    late = stretch.late.get(id(member), {})
    keys = stretch.keys.keys()
    covers = member.start_key < stretch.low and stretch.high <= member.cursor.key
    if covers and not late and keys.isdisjoint(member.missing.keys()) and keys.isdisjoint(member.damaged):
        return tuple(keys)  # nearly everybody
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
    """What came after something that belongs behind it, with that."""
    ahead = -1
    for identity in sequence:
        if ahead >= 0 and rank[identity] < rank[ahead]:
            yield identity, ahead
        else:
            ahead = identity
