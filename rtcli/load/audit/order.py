"""Who received messages out of order, once the room's order can be settled.

Where the protocol tells positions, the order is theirs. Where it does not, it was taken from the first
arrivals, which may be the wrong ones: if more receivers of two messages disagree with their order than agree
with it, it is turned round, and those are named who had agreed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from rtcli.load.audit.ledger import message_id, split_id
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room

Named = tuple[Membership, int, int, Finding | None]
"""Who, which message, after which other, and what was seen of it (if anything)."""


def settle_order(rooms: Mapping[str, Room], findings: Iterable[Finding]) -> Iterator[Named]:
    """Every delivery against the order of its room or its publisher, once each."""
    by_room: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_room[finding.room].append(finding)
    for name, room in rooms.items():
        named: dict[tuple[int, int], Named] = {}
        for item in _agreed(room, by_room[name]):
            named.setdefault((id(item[0]), item[1]), item)
        for earlier, later in _inversions(room):
            for member in _all(room):
                both = _received(member, earlier) and _received(member, later)
                if both and (id(member), later) not in named:
                    named.setdefault((id(member), earlier), (member, earlier, later, None))
        yield from named.values()


def _inversions(room: Room) -> Iterator[tuple[int, int]]:
    """Messages that stand after a later one of their stream, with that one."""
    for stream in room.streams:
        lowest, its_number = 0, 0
        for number in range(len(stream.keys) - 1, -1, -1):
            key = stream.keys[number]
            if not key or not stream.sent[number]:  # what was never sent has no place in a stream
                continue
            if lowest and lowest < key:
                yield message_id(stream.number, number), message_id(stream.number, its_number)
            else:
                lowest, its_number = key, number


def _received(member: Membership, identity: int) -> bool:
    number, place = split_id(identity)
    key = next((stream.keys[place] for stream in member.room.streams if stream.number == number), 0)
    return bool(key) and member.received(identity, key)


def _all(room: Room) -> list[Membership]:
    return [*room.memberships, *room.released]


def _agreed(room: Room, findings: list[Finding]) -> Iterator[Named]:
    """What was found, with places that most receivers disagree with put right."""
    pairs: defaultdict[tuple[int, int], list[Finding]] = defaultdict(list)
    for finding in findings:
        pairs[finding.identity, finding.reference].append(finding)
    for (identity, after), found in pairs.items():
        same_stream = split_id(identity)[0] == split_id(after)[0]
        others = [] if room.ordered or same_stream else _against(room, identity, after, found)
        if room.ordered or same_stream or len(found) <= len(others):
            for finding in found:
                if finding.member is not None:
                    yield finding.member, identity, after, finding
        else:
            yield from _moved(room, identity, after, others)


def _against(room: Room, identity: int, after: int, found: list[Finding]) -> list[Membership]:
    """Those who received both the other way round. Without any, nothing but our idea was out of order."""
    agreeing = {id(finding.member) for finding in found}
    return [
        member
        for member in _all(room)
        if id(member) not in agreeing and _received(member, identity) and _received(member, after)
    ]


def _moved(room: Room, identity: int, after: int, members: list[Membership]) -> Iterator[Named]:
    """The message belongs behind `after`: name those who received what stands between only after it."""
    low, high = _key(room, identity), _key(room, after)
    between = [
        message_id(stream.number, place)
        for stream in room.streams
        for place, key in enumerate(stream.keys)
        if low < key <= high
    ]
    for member in members:
        for other in between:
            if _received(member, other):
                yield member, other, identity, None


def _key(room: Room, identity: int) -> int:
    number, place = split_id(identity)
    return next(stream.keys[place] for stream in room.streams if stream.number == number)
