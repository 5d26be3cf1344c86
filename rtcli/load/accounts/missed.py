"""What absent users missed: messages that others published and the server accepted meanwhile. Pure.

A message counts when it was sent while the user was absent without leave, to a room where by plan it should
have been. It does not count when the user received it later, nor in rooms that a resume brought back: those
are the audit's matter. Times are compared exactly, in µs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rtcli.load.accounts.absences import AbsenceGroup, AbsenceGroups
from rtcli.load.accounts.attendance import MissedStretch
from rtcli.load.audit.audit import Audit
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, message_id


def count_missed(audit: Audit, stretches: Iterable[MissedStretch]) -> list[AbsenceGroup]:
    """The missed deliveries, grouped by the causes of the absences.

    To be called when the audit has been judged and knows what all workers have sent.
    """
    by_room: defaultdict[str, list[MissedStretch]] = defaultdict(list)
    for stretch in stretches:
        by_room[stretch.room].append(stretch)
    groups = AbsenceGroups()
    for name, absent in by_room.items():
        room = audit.rooms.get(name)
        if room is not None:
            _count_in_room(room, absent, groups)
    return groups.all()


def _count_in_room(room: Room, stretches: Sequence[MissedStretch], groups: AbsenceGroups) -> None:
    accepted = sorted(_accepted(room))
    own: defaultdict[str, list[int]] = defaultdict(list)
    for sent, publisher, _, _ in accepted:
        own[publisher].append(sent)
    times = [sent for sent, _, _, _ in accepted]
    members: defaultdict[str, list[Membership]] = defaultdict(list)
    for member in room.released:
        members[member.user].append(member)
    for user, room_name, start, end, key in stretches:
        low, high = bisect_left(times, start), bisect_left(times, end)
        mine = own.get(user, ())
        missed = high - low - (bisect_left(mine, end) - bisect_left(mine, start))
        later = [member for member in members.get(user, ()) if member.asked >= start]
        if missed and later:
            others = (item for item in accepted[low:high] if item[1] != user)
            missed -= sum(
                any(member.received(identity, message_key) for member in later)
                for _, _, identity, message_key in others
            )
        if missed > 0:
            groups.group(key._replace(room=room_name)).add(missed, [user], start, end, 0)


def _accepted(room: Room) -> Iterator[tuple[int, str, int, int]]:
    """Each message to the room that was surely published: sent at, publisher, id, key."""
    for log in room.logs:
        if log.room != room.name:
            continue
        publisher = _user_of(log.publisher)
        for number, sent in enumerate(log.sent):
            if sent and log.acks[number] not in {0, FAILED}:  # acknowledged, or seen by a receiver
                yield sent, publisher, message_id(log.number, number), log.keys[number]


def _user_of(publisher: str) -> str:
    """The name of a log's user: a second request at the same time has a log of its own, `role 7.2`."""
    role, _, number = publisher.rpartition(" ")
    return f"{role} {number.partition('.')[0]}"
