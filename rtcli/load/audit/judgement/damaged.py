"""The end of the audit: which message it was that came with a damaged token, and to which membership.

What is still readable of the token tells, compared with what was sent: a message's log, its number and the
time of its sending belong together. Else its position in the room does, or the order of what is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, SenderLog, message_id, split_id
from rtcli.load.audit.token import Remains, read_remains


class DamagedMessages:
    """Finds the messages of damaged tokens. All memberships are released, and all sender logs are known."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._of_user: dict[str, list[Membership]] | None = None
        self._by_time: dict[int, list[int]] | None = None
        self._by_key: dict[str, dict[int, int]] = {}

    def match(self, finding: Finding) -> tuple[int, Membership | None]:
        """The id of the message (-1: unknown), and the membership that it came to; None: to none."""
        remains = read_remains(finding.token)
        certain = -1 if remains is None else self._certain(remains)
        member = finding.member
        if member is None and not finding.room:
            member = self._member(finding, certain)
        if member is None or (certain >= 0 and self._room_of(certain) == member.room):
            return certain, member
        return self._in_room(finding, member, remains), member

    def _in_room(self, finding: Finding, member: Membership, remains: Remains | None) -> int:
        """The id of a message of the membership's room that fits best."""
        room = self._audit.rooms[member.room]
        placed = finding.reference < 0
        if placed and (at := self._keys_of(room).get(-finding.reference)) is not None:
            return at
        if remains is not None and (identity := self._likely(remains, member)) >= 0:
            return identity
        if placed:
            return _first([item for item in unseen_messages(room) if item[2] not in item[1].ack_keys], member)
        return _next_missing(room, member, finding.reference)

    def _keys_of(self, room: Room) -> dict[int, int]:
        """The ids of the room's messages by their keys; for those that nobody saw, keys from answers."""
        found = self._by_key.get(room.name)
        if found is None:
            found = self._by_key[room.name] = {}
            for log in room.logs:
                keys = log.ack_keys | {number: key for number, key in enumerate(log.keys) if key}
                found.update({key: message_id(log.number, number) for number, key in keys.items()})
        return found

    def _likely(self, remains: Remains, member: Membership) -> int:
        """The id of the room's message that was sent at the token's time, or has its number; else -1."""
        found = [identity for identity in self._at_time(remains) if self._room_of(identity) == member.room]
        log = self._audit.logs.get(remains.log)
        if log is not None and log.room == member.room and any(log.sent[remains.number :][:1]):
            found.append(message_id(remains.log, remains.number))
        waited = [identity for identity in found if self.was_waited_for(member, identity)]
        return next(iter(waited or found), -1)

    def _certain(self, remains: Remains) -> int:
        """The id of the message whose log, number and time are those of the token; -1: there is none."""
        log = self._audit.logs.get(remains.log)
        if log is None or remains.sent is None or remains.number >= len(log.sent):
            return -1
        fits = log.sent[remains.number] == self._audit.base + remains.sent
        return message_id(remains.log, remains.number) if fits else -1

    def _at_time(self, remains: Remains) -> list[int]:
        """The ids of the messages that were sent at the token's time."""
        if remains.sent is None:
            return []
        if self._by_time is None:
            found: defaultdict[int, list[int]] = defaultdict(list)
            for log in self._audit.logs.values():
                for number, sent in enumerate(log.sent):
                    found[sent].append(message_id(log.number, number))
            self._by_time = dict(found)
        return self._by_time.get(self._audit.base + remains.sent, [])

    def _room_of(self, identity: int) -> str:
        return self._audit.logs[split_id(identity)[0]].room

    def was_waited_for(self, member: Membership, identity: int) -> bool:
        """Whether the subscriber has not received the message in the membership's room, whole or damaged."""
        log_number, number = split_id(identity)
        key = self._audit.logs[log_number].keys[number]
        return not any(
            other.room == member.room and (other.received(identity, key) or other.has_damaged(identity))
            for other in self._memberships(member.user)
        )

    def _memberships(self, user: str) -> list[Membership]:
        """All memberships of a user."""
        if self._of_user is None:
            by_user: defaultdict[str, list[Membership]] = defaultdict(list)
            for room in self._audit.rooms.values():
                for member in room.released:
                    by_user[member.user].append(member)
            self._of_user = dict(by_user)
        return self._of_user.get(user, [])

    def _member(self, finding: Finding, identity: int) -> Membership | None:
        """The user's membership at that time: in the message's room, or the only one."""
        inside = [
            member
            for member in self._memberships(finding.user)
            if member.asked <= finding.at and (member.ended is None or finding.at <= member.ended)
        ]
        if identity >= 0:
            inside = [member for member in inside if member.room == self._room_of(identity)]
        return inside[-1] if len({member.room for member in inside}) == 1 else None


def unseen_messages(room: Room) -> Iterator[tuple[int, SenderLog, int]]:
    """Messages of the room that nobody has received and that were not refused: id, log, number."""
    for log in room.logs:
        if log.room == room.name:
            for number, key in enumerate(log.keys):
                if not key and log.sent[number] and log.acks[number] != FAILED:
                    yield message_id(log.number, number), log, number


def _next_missing(room: Room, member: Membership, key: int) -> int:
    """The id of the first missing message behind a key that others received, else of one that nobody did."""
    behind = [(own, identity) for identity, own in (member.missing | member.trailing).items() if own > key]
    return min(behind)[1] if behind else _first(unseen_messages(room), member)


def _first(unseen: Iterable[tuple[int, SenderLog, int]], member: Membership) -> int:
    """The id of the one that was sent first and is not known as damaged; -1 without any."""
    rest = (item for item in unseen if not member.has_damaged(item[0]))
    return min(rest, key=lambda item: item[1].sent[item[2]], default=(-1,))[0]
