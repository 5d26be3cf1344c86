"""The end of the audit: what was expected and never came, and who is to be named for what.

A message is expected by a membership when the time from its sending to its acknowledgement lies within the
time from the confirmed join to the start of the leave. When the two only overlap, nobody can tell, and it is
counted as indeterminate. Everything here follows from the ledgers and the memberships' exceptions; what was
delivered as it should be is not looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.order import settle_order
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, Stream, message_id, split_id


@dataclass(frozen=True, slots=True)
class Case:
    """One violation: a rule, a subscriber, and (mostly) a message. `finding` when it was seen as it came."""

    kind: str
    user: str
    room: str
    identity: int
    member: Membership | None = None
    finding: Finding | None = None
    reference: int = -1


@dataclass(slots=True)
class Account:
    """What the audit of one worker found. `undelivered`: expected deliveries that did not come intact."""

    cases: list[Case] = field(default_factory=list)
    gap_declared: int = 0
    indeterminate: int = 0
    undelivered: int = 0
    not_counted: int = 0  # deliveries that were counted as they came and turned out to be violations


class Judge:
    """Judges one worker's audit after the run has settled.

    `patience` is how long (µs) a message without acknowledgement may take to be published; `self_echo` says
    whether senders expect their own messages.
    """

    def __init__(self, audit: Audit, now: int, *, patience: int, self_echo: bool) -> None:
        self._audit = audit
        self._now = now
        self._patience = patience
        self._self_echo = self_echo
        self._account = Account()

    def judge(self) -> Account:
        """Find every violation."""
        for room in self._audit.rooms.values():
            self._close(room)
        self._add_findings()
        for room in self._audit.rooms.values():
            unseen = list(_unseen(room))
            for member in room.released:
                self._judge_member(room, member, unseen)
            self._judge_unwanted(room)
        return self._account

    def _close(self, room: Room) -> None:
        """End what has not ended: the run has."""
        for member in list(room.memberships):
            if member.ended is None:
                member.end = "open" if member.lost is None else "lost"
                member.ended = self._now if member.lost is None else member.lost
            room.release(member)

    def _add_findings(self) -> None:
        reordered = [finding for finding in self._audit.findings if finding.kind == "reordered"]
        for finding in self._audit.findings:
            if finding.kind != "reordered":
                identity = self._match_corrupt(finding) if finding.kind == "corrupt" else finding.identity
                self._account.cases.append(
                    Case(finding.kind, finding.user, finding.room, identity, finding.member, finding)
                )
        if self._audit.order != "none":
            for member, identity, after, seen in settle_order(
                self._audit.rooms, reordered, self._audit.order
            ):
                self._account.cases.append(
                    Case("reordered", member.user, member.room, identity, member, seen, after)
                )

    def _match_corrupt(self, finding: Finding) -> int:
        """Find the message that came damaged: the one at the position told, else the next that is missing."""
        member = finding.member
        if member is None:
            return -1
        if finding.reference < 0:
            identity = _at(self._audit.rooms[member.room], member, -finding.reference)
        else:
            identity = _next_missing(self._audit.rooms[member.room], member, finding.reference)
        if identity >= 0 and self._stop_waiting(member, identity):
            self._account.undelivered += 1
        return identity

    def _stop_waiting(self, member: Membership, identity: int) -> bool:
        """The member does not miss the message any more; False when it did not anyway."""
        stream, place = split_id(identity)
        waited = identity in member.missing or identity in member.tail
        unseen = not self._audit.streams[stream].keys[place] and identity not in member.damaged
        if waited or unseen:
            member.missing.pop(identity, None)
            member.tail.pop(identity, None)
            member.damaged = (*member.damaged, identity)
        return waited or unseen

    # -- what did not come ---------------------------------------------------------------------------------

    def _judge_member(self, room: Room, member: Membership, unseen: list[tuple[int, Stream, int]]) -> None:
        if member.joined is None:
            return
        broke = member.end in {"lost", "declared"}
        for identity, key in member.missing.items():
            unsure = broke and not room.ordered and not self._was_before(identity, member)
            self._judge_missing(room, member, identity, key, is_tail=unsure)
        for identity, key in member.tail.items():
            self._judge_missing(room, member, identity, key, is_tail=True)
        for identity, stream, number in unseen:
            if identity not in member.damaged:
                key = stream.ack_keys.get(number, 0)
                is_tail = broke and (not key or key > member.cursor.key)  # it may have been on its way
                self._judge_missing(room, member, identity, key, is_tail=is_tail)

    def _was_before(self, identity: int, member: Membership) -> bool:
        """Whether a message was there before the last that the membership received was even sent."""
        stream, place = split_id(identity)
        known = self._audit.streams[stream].known_by(place, self._patience)
        return known is not None and known <= member.cursor.left

    def _judge_missing(
        self, room: Room, member: Membership, identity: int, key: int, *, is_tail: bool
    ) -> None:
        number, place = split_id(identity)
        stream = self._audit.streams[number]
        if stream.acks[place] == FAILED or stream.room != room.name or not stream.sent[place]:
            return
        if stream.publisher == member.user and not self._self_echo:
            return
        expected = self._is_expected(member, stream, place)
        if expected is None:
            self._account.indeterminate += 1
        elif expected:
            self._undelivered(room, member, identity, key, is_tail=is_tail)

    def _is_expected(self, member: Membership, stream: Stream, place: int) -> bool | None:
        """Whether the membership should have got the message; None when nobody can tell."""
        joined, end, sent = member.joined or 0, member.until, stream.sent[place]
        known = stream.known_by(place, self._patience)
        if sent >= end or (known is not None and known < joined):
            return False
        if known is None or sent < joined or known > end:
            return None
        return True

    def _undelivered(self, room: Room, member: Membership, identity: int, key: int, *, is_tail: bool) -> None:
        stream, place = split_id(identity)
        sent = self._audit.streams[stream].sent[place]
        in_gap = any(low < key <= high for low, high in member.gaps or ())
        if in_gap or (is_tail and member.end == "declared"):
            self._account.gap_declared += 1
            self._account.undelivered += 1
        elif is_tail:
            self._account.indeterminate += 1  # on its way when the connection broke
        else:
            kind = "resume_gap" if _while_away(member, sent, key) else "lost"
            self._account.cases.append(Case(kind, member.user, room.name, identity, member))
            self._account.undelivered += 1

    # -- what should not have come -------------------------------------------------------------------------

    def _judge_unwanted(self, room: Room) -> None:
        """Name who received what was refused to its sender, or (other workers') never sent, or not here."""
        for stream in room.streams:
            for place, key in enumerate(stream.keys):
                kind = ""
                if not key:
                    continue
                if stream.acks[place] == FAILED:
                    kind = "ghost"
                elif not stream.sent[place]:
                    kind = "phantom"
                elif stream.room != room.name:
                    kind = "leak"
                if kind:
                    self._name_receivers(kind, room, message_id(stream.number, place), key)

    def _name_receivers(self, kind: str, room: Room, identity: int, key: int) -> None:
        for member in room.released:
            if member.received(identity, key):
                self._account.cases.append(Case(kind, member.user, room.name, identity, member))
                self._account.not_counted += 1


def _unseen(room: Room) -> Iterator[tuple[int, Stream, int]]:
    """Messages of the room that nobody has seen, and whose sender did not get an error."""
    for stream in room.streams:
        if stream.room == room.name:
            for place, key in enumerate(stream.keys):
                if not key and stream.sent[place] and stream.acks[place] != FAILED:
                    yield message_id(stream.number, place), stream, place


def _at(room: Room, member: Membership, key: int) -> int:
    """The message at a place of the room's order; if none is there, the first whose place nobody knows."""
    for stream in room.streams:
        places = stream.ack_keys | {number: own for number, own in enumerate(stream.keys) if own}
        for number, own in places.items():
            if own == key:
                return message_id(stream.number, number)
    return _first([item for item in _unseen(room) if item[2] not in item[1].ack_keys], member)


def _next_missing(room: Room, member: Membership, key: int) -> int:
    """What the member misses first behind a place: of what others received, else of what nobody did."""
    behind = [(own, identity) for identity, own in (member.missing | member.tail).items() if own > key]
    return min(behind)[1] if behind else _first(_unseen(room), member)


def _first(unseen: Iterable[tuple[int, Stream, int]], member: Membership) -> int:
    """The first sent of them that the member has not got damaged already; -1 without any."""
    rest = (item for item in unseen if item[0] not in member.damaged)
    return min(rest, key=lambda item: item[1].sent[item[2]], default=(-1,))[0]


def _while_away(member: Membership, sent: int, key: int) -> bool:
    """Whether the message should have come with a resume: sent before that, and not there before the loss.

    Where no position tells the latter, the order of first arrival does, which is wrong once in a while (in 17
    of 20 000 random faulty worlds): then a loss beside a resume is put down to the wrong one of the two.
    """
    for away in member.aways or ():
        if sent <= away.back and (key > away.key if key else sent >= away.lost):
            return True
    return False
