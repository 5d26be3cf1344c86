"""The delivery audit while a run goes on: it accounts for every delivery when it comes.

Pure: times are arguments (whole microseconds of the monotonic clock), and nothing here waits or writes. What
can be judged at once becomes a finding; which messages were lost is known only at the end (see `judge`).

A delivery that is exactly what its membership expects next does not get here: the connection compares its
bytes with the entry's and counts it itself (see `Membership.take`). This module accounts for all others.
"""

from __future__ import annotations

from collections.abc import Callable

from rtcli.load.audit.entry import Entry
from rtcli.load.audit.lifecycle import LOGS_PER_WORKER, Lifecycle
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import KEPT_BYTES, Delivery, Finding, Findings, Note, Skip
from rtcli.load.audit.sender_log import SenderLog, message_id, split_id
from rtcli.load.audit.texts import difference, find_text, is_whole
from rtcli.load.audit.token import Token, decode_token
from rtcli.load.metrics.histogram import bucket_index

_MAX_AHEAD = 1 << 16  # a number further ahead of those seen in another worker's log was never sent


class Audit(Lifecycle):
    """Accounts for every delivery to the subscribers of one worker.

    `delivery_key_of` gives the key that deliveries of a message are counted under, from the time at which the
    message was due and its lag (see `store.delivery_key`). `on_complete` is called for each message that has
    reached everybody, with the time (µs) that took. `order` is the scenario's: per-room, per-publisher or
    none. `text` is, too: whole, or token when texts may be changed.
    """

    def __init__(
        self,
        run: int,
        base: int,
        *,
        delivery_key_of: Callable[[int, int], int],
        on_complete: Callable[[Entry, int], None],
        order: str = "per-room",
        text: str = "whole",
        worker: int = 0,
        workers: int = 1,
        max_evidence: int = 1000,
    ) -> None:
        super().__init__(run, base, worker=worker)
        self.order = order
        self._judges_text = text == "whole"
        self.findings = Findings(max_evidence)
        self.is_judged = False  # what comes from now on is too late
        self.skips: dict[tuple[int, int], Skip] = {}  # by the membership's id() and the message's
        self._on_complete = on_complete
        self._delivery_key_of = delivery_key_of
        self._own = range(self._next_log, self._next_log + LOGS_PER_WORKER)
        self._known = range(workers * LOGS_PER_WORKER)
        self._max_evidence = max_evidence

    def receive(self, delivery: Delivery) -> Membership | None:
        """Account for one delivery. Returns the membership that it belongs to, if any."""
        if self.is_judged:
            return None
        member = None if delivery.room is None else delivery.user.memberships.get(delivery.room)
        if member is not None:
            entry = member.cursor.next
            if (
                entry is not None
                and entry.token == delivery.token
                and (
                    entry.content == delivery.content
                    if delivery.content is not None
                    else entry.wire is not None and delivery.raw.startswith(entry.wire, delivery.at)
                )
            ):
                _keep(entry, delivery)
                member.take(entry, delivery.now)
                delivery.user.counted += 1
                return member
        token = decode_token(delivery.token)
        if token is None:
            self._corrupt(delivery, member)
            return member
        log = self._sender(token, delivery)
        if log is None:
            if member is None and delivery.room is None:
                member = delivery.user.memberships.get(self._room_of(token, delivery))
            self._phantom(delivery, member, token)
            return member
        return self._account(delivery, log, token)

    def _sender(self, token: Token, delivery: Delivery) -> SenderLog | None:
        """The log of a token's sender; None when this run did not send the message."""
        if token.run != self.run:
            return None
        log = self.logs.get(token.log)
        if log is None:
            if token.log in self._own or token.log not in self._known:
                return None
            log = self.logs[token.log] = SenderLog(token.log, "", "", owned=False)
        if log.owned:
            return log if token.number < len(log.sent) else None
        if not log.room and (name := self._room_of(token, delivery)):
            log.room = name
            self.rooms[name].logs.append(log)
        if log.top_number >= 0 and token.number > log.top_number + _MAX_AHEAD:
            return None
        log.grow(token.number)
        if not log.sent[token.number]:
            log.sent[token.number] = self.base + token.intended + token.lag
        return log

    def _room_of(self, token: Token, delivery: Delivery) -> str:
        """The room that a message was sent to; "" when nobody in this worker has been there."""
        for name in (delivery.room or "", *delivery.user.memberships):
            room = self.rooms.get(name)
            if room is not None and room.code == token.room:
                return name
        return self._by_code.get(token.room, "")

    def _account(self, delivery: Delivery, log: SenderLog, token: Token) -> Membership | None:
        """Account for the delivery of a message that was sent."""
        identity = message_id(token.log, token.number)
        where = log.room if delivery.room is None else delivery.room
        member = delivery.user.memberships.get(where)
        if where != log.room or member is None:
            elsewhere = f"it was sent to {log.room or 'another room'}"
            detail = elsewhere if where != log.room else "the user is not in the room"
            self._find("leak", delivery, member, identity, detail=detail)
            return member
        form = self._form(delivery, member, token)
        if form is None:
            self._find("corrupt", delivery, member, identity, detail=difference(token, delivery.content))
            return member
        key = log.keys[token.number]
        if not key:
            entry = self._first_sight(member, log, token, delivery)
            _keep_form(entry, form)
            key = entry.key
        if key > member.cursor.key:
            entry = self._advance(delivery, member, key)
            entry.last_seen = max(entry.last_seen, delivery.now)
        elif not self._is_new(delivery, member, identity, key):
            return member
        self._count(member, self.base + token.intended, token.lag, delivery.now)
        delivery.user.counted += 1
        return member

    def _form(self, delivery: Delivery, member: Membership, token: Token) -> str | bytes | None:
        """The form in which the text came as it was sent; None when it did not, and that is judged."""
        content = delivery.content
        if not self._judges_text:
            return content or delivery.token
        form: str | bytes | None = None
        if content is None:
            form = find_text(token, delivery.raw, delivery.at)
        elif is_whole(token, content) and content.startswith(delivery.token.decode()):
            form = content
        entry = member.cursor.next
        if form and entry is not None and entry.token == delivery.token:
            _keep_form(entry, form)
        return form

    def _first_sight(self, member: Membership, log: SenderLog, token: Token, delivery: Delivery) -> Entry:
        room = self.rooms[member.room]
        intended = self.base + token.intended
        key = room.key_of(delivery.position)
        if key is None:
            key = room.key_after(member, log, token.number, intended + token.lag)
        while key == room.tail.key or (key < room.tail.key and room.is_taken(key, member)):
            key += 1  # two messages at one position, which is the server's fault; keep them apart
        entry = Entry(
            key,
            message_id(log.number, token.number),
            delivery.token,
            intended=intended,
            lag=token.lag,
            delivery_key=self._delivery_key_of(intended, token.lag),
            position=delivery.position,
        )
        entry.first_seen = delivery.now
        _keep(entry, delivery)
        log.see(token.number, delivery.now, key)
        room.insert(entry)
        return entry

    def _advance(self, delivery: Delivery, member: Membership, key: int) -> Entry:
        """Move the membership ahead to the entry with this key, and record what it skips."""
        before, skipped = member.cursor, []
        entry = before.next
        while entry is not None and entry.key != key:
            skipped.append(entry.identity)
            entry = entry.next
        if entry is None:
            raise AssertionError("an entry ahead of a membership is in its chain")
        if skipped and len(self.skips) < self._max_evidence:
            seen = _frame_of(before)
            skip = Skip(
                Note(member.received_at, "in", seen) if seen and member.received_at else None,
                Note(delivery.now, "in", delivery.raw[:KEPT_BYTES]),
                tuple(delivery.user.notes),
            )
            for identity in skipped[: self._max_evidence - len(self.skips)]:
                self.skips[id(member), identity] = skip
        member.advance(entry)
        member.received_at = delivery.now
        return entry

    def _is_new(self, delivery: Delivery, member: Membership, identity: int, key: int) -> bool:
        """Judge the delivery of a message at or before the membership's cursor; False: a duplicate."""
        if identity in member.missing:
            del member.missing[identity]
            self.skips.pop((id(member), identity), None)
            for entry in self.rooms[member.room].recent:
                if entry.identity == identity:
                    entry.missed_by -= 1
                    entry.last_seen = max(entry.last_seen, delivery.now)
            self._reordered(delivery, member, identity, member.cursor.identity)
            return True
        if key > member.start_key:
            self._find("duplicate", delivery, member, identity, before=self._first_copy(member, identity))
            return False
        return self._is_new_early(delivery, member, identity, key)

    def _first_copy(self, member: Membership, identity: int) -> Note | None:
        """The first arrival of a message that came to a membership again, as far as it is known."""
        if member.cursor.identity == identity:
            frame = _frame_of(member.cursor)
            return Note(member.received_at, "in" if frame else "note", frame or b"its first copy came")
        for entry in self.rooms[member.room].recent:
            if entry.identity == identity:
                return Note(entry.first_seen, "note", b"its first copy had come to the first in the room")
        return None

    def _is_new_early(self, delivery: Delivery, member: Membership, identity: int, key: int) -> bool:
        """The same for a message that others had received before this membership started."""
        if member.history:
            return False
        if member.has_early(identity) or self._had_before(member, identity, key):
            self._find("duplicate", delivery, member, identity)
            return False
        early = member.early or {}
        ahead = max(early, key=early.__getitem__, default=-1)
        if member.cursor.key > member.start_key:
            self._reordered(delivery, member, identity, member.cursor.identity)
        elif ahead >= 0 and early[ahead] > key:
            self._reordered(delivery, member, identity, ahead)
        member.mark_early(identity, key, delivery.position)
        return True

    def _had_before(self, member: Membership, identity: int, key: int) -> bool:
        """Whether an earlier membership of the same subscriber in the room received the message."""
        room = self.rooms[member.room]
        return any(
            other.user == member.user and other is not member and other.received(identity, key)
            for other in (*room.memberships, *room.released)
        )

    def _reordered(self, delivery: Delivery, member: Membership, identity: int, after: int) -> None:
        if self.order == "none":
            return
        if self.order == "per-publisher" and not self._later_of_publisher(member, identity):
            return
        self._find("reordered", delivery, member, identity, reference=after)

    def _later_of_publisher(self, member: Membership, identity: int) -> bool:
        """Whether the membership has received a later message of the same log."""
        log_number, number = split_id(identity)
        keys = self.logs[log_number].keys
        return any(
            keys[later] and member.received(message_id(log_number, later), keys[later])
            for later in range(number + 1, len(keys))
        )

    def _count(self, member: Membership, intended: int, lag: int, now: int) -> None:
        member.counts[self._delivery_key_of(intended, lag) + bucket_index(now - intended)] += 1

    def _corrupt(self, delivery: Delivery, member: Membership | None) -> None:
        """Record a message with a damaged token. The judge finds out which it was: it knows all messages."""
        key = None if delivery.room is None else self.room(delivery.room).key_of(delivery.position)
        reached = 0 if member is None else member.cursor.key
        detail = "its token is damaged"
        self._find("corrupt", delivery, member, -1, reference=reached if key is None else -key, detail=detail)

    def _phantom(self, delivery: Delivery, member: Membership | None, token: Token) -> None:
        if token.run == self.run:
            self._find("phantom", delivery, member, -1, detail="this run did not send it")
        elif member is None or not member.history:  # history may have another run's messages
            self._find("phantom", delivery, member, -1, detail="of another run")

    def _find(
        self,
        kind: str,
        delivery: Delivery,
        member: Membership | None,
        identity: int,
        *,
        reference: int = -1,
        detail: str = "",
        before: Note | None = None,
    ) -> None:
        user = delivery.user
        self.findings.add(
            Finding(
                kind,
                user.name,
                delivery.room or (member.room if member is not None else ""),
                user.connection,
                member,
                identity,
                delivery.now,
                reference,
                detail,
                delivery.raw[:KEPT_BYTES],
                tuple(user.notes) if before is None else (*user.notes, before),
                delivery.token if kind == "corrupt" else b"",
            )
        )

    def violations_so_far(self) -> dict[str, int]:
        """Number of violations by kind that are known now; `missing` are deliveries that may still come."""
        missing = sum(len(member.missing) for room in self.rooms.values() for member in room.memberships)
        return {**self.findings.counts, **({"missing": missing} if missing else {})}

    def outstanding(self) -> int:
        """Number of messages and memberships that still wait for a delivery, as far as this worker knows."""
        waiting = 0
        for room in self.rooms.values():
            inside = [member for member in room.memberships if member.is_in]
            if not inside:
                continue
            waiting += sum(member.cursor is not room.tail or bool(member.missing) for member in inside)
            waiting += sum(log.unseen for log in room.logs)
        return waiting

    def sweep(self, now: int, *, patience: int) -> None:
        """Report messages that reached everybody; release memberships that ended `patience` µs ago.

        To be called about once a second.
        """
        for room in self.rooms.values():
            for entry in room.take_passed():
                if not entry.missed_by and entry.last_seen:
                    self._on_complete(entry, entry.last_seen - entry.intended)
        while self._ending and (self._ending[0].ended or 0) + patience <= now:
            member = self._ending.pop(0)
            self.rooms[member.room].release(member)


def _frame_of(entry: Entry) -> bytes:
    """The frame or event in which a message came to the first, cut for evidence; empty if it is not kept."""
    return (entry.frame or (entry.text or "").encode())[:KEPT_BYTES]


def _keep(entry: Entry, delivery: Delivery) -> None:
    """Keep the bytes of a message, so that later deliveries can be compared with them."""
    if entry.frame is None:
        entry.frame = delivery.frame
    if entry.text is None:
        entry.text = delivery.text


def _keep_form(entry: Entry, form: str | bytes) -> None:
    """Keep a form in which the text is known to be whole."""
    if isinstance(form, str):
        entry.content = form
    elif form:
        entry.wire = form
