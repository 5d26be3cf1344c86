"""The end of the audit: which expected deliveries never came, and every other violation.

What a membership expects is in `expectations`; where nobody can tell, a delivery counts as indeterminate. So
does what was on its way when a connection broke, unless the server ended it after the phases: then it only
had to deliver what it had accepted. The judgement uses the sender logs and the memberships' exceptions;
correct deliveries are not looked at again.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.damaged import DamagedMessages, unseen_messages
from rtcli.load.audit.judgement.expectations import Expectations
from rtcli.load.audit.judgement.order import settle_order
from rtcli.load.audit.lifecycle import LOGS_PER_WORKER
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Finding
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, SenderLog, message_id, split_id

_MAX_DOUBTS = 100_000  # messages


@dataclass(frozen=True, slots=True)
class Case:
    """One violation: its kind, the subscriber, and the message's id (-1: unknown).

    `finding` is what was recorded when the delivery came; None when there was none. `reference` is the id of
    the message that a reordered one came after.
    """

    kind: str
    user: str
    room: str
    identity: int
    member: Membership | None = None
    finding: Finding | None = None
    reference: int = -1


@dataclass(slots=True)
class Account:
    """What the audit of one worker found. `undelivered`: expected deliveries that did not come undamaged.

    Of messages without any sign that they were accepted, `unsure` has the ids of those with an indeterminate
    delivery, and `sure` of those that somebody should have received all the same.
    """

    cases: list[Case] = field(default_factory=list)
    gap_declared: int = 0
    indeterminate: int = 0
    undelivered: int = 0
    not_counted: int = 0  # violations that had counted as deliveries when they came
    unsure: set[int] = field(default_factory=set)
    sure: set[int] = field(default_factory=set)

    def doubt(self, log: SenderLog, number: int, *, expected: bool) -> None:
        """Note what becomes of a delivery of a message that may have been accepted or not."""
        if not log.acked and log.acks[number] == 0:
            ids = self.sure if expected else self.unsure
            if len(ids) < _MAX_DOUBTS:
                ids.add(message_id(log.number, number))


class Judge:
    """Judges the audit of one worker after the run has settled at `now` (µs).

    A message without acknowledgement may be published up to `patience` µs after it was sent. `self_echo` says
    whether senders expect their own messages. `unknown` are workers that cannot say what they have sent.
    """

    def __init__(
        self,
        audit: Audit,
        now: int,
        *,
        patience: int,
        self_echo: bool,
        unknown: frozenset[int] = frozenset(),
    ) -> None:
        self._audit = audit
        self._now = now
        self._unknown = unknown
        self._expects = Expectations(audit.logs, patience=patience, self_echo=self_echo, unknown=unknown)
        self._account = Account()
        self._damaged = DamagedMessages(audit)

    def judge(self) -> Account:
        """Find all violations. Releases all memberships; call it once."""
        self._audit.is_judged = True
        for room in self._audit.rooms.values():
            self._close(room)
        self._add_findings()
        for room in self._audit.rooms.values():
            unseen = list(unseen_messages(room))
            misled = [] if room.ordered else [log for log in room.logs if _has_phantoms(log)]
            for member in room.released:
                self._judge_member(room, member, unseen)
                for log in misled:
                    self._judge_misplaced(room, member, log)
            self._count_overlapping(room)
            self._judge_unwanted(room)
        return self._account

    def _close(self, room: Room) -> None:
        """End and release the memberships that the end of the run ends."""
        for member in list(room.memberships):
            if member.ended is None:
                member.end = "open" if member.lost is None else "lost"
                member.ended = self._now if member.lost is None else member.lost
            room.release(member)

    def _add_findings(self) -> None:
        reordered = [
            finding
            for finding in self._audit.findings
            if finding.kind == "reordered" and self._was_sent(finding.identity)
        ]
        for finding in self._audit.findings:
            if finding.kind == "corrupt":
                self._account.cases.append(self._corrupt_case(finding))
            elif finding.kind != "reordered":
                self._account.cases.append(self._case(finding))
        if self._audit.order != "none":
            for member, identity, after, seen in settle_order(
                self._audit.rooms, reordered, self._audit.order
            ):
                self._account.cases.append(
                    Case("reordered", member.user, member.room, identity, member, seen, after)
                )

    def _was_sent(self, identity: int) -> bool:
        log_number, number = split_id(identity)
        return bool(self._audit.logs[log_number].sent[number])

    def _case(self, finding: Finding) -> Case:
        """The case of a delivery, now that all workers have told what they sent, and where to."""
        identity, room, kind = finding.identity, finding.room, finding.kind
        if identity >= 0:
            room = room or self._audit.logs[split_id(identity)[0]].room
            if not self._was_sent(identity):
                kind, identity = "phantom", -1
        return Case(kind, finding.user, room, identity, finding.member, finding)

    def _corrupt_case(self, finding: Finding) -> Case:
        """The case of a message that came damaged: which one it was, and that it is not missing, too."""
        member, identity = finding.member, finding.identity
        if identity < 0:
            identity, member = self._damaged.match(finding)
        elif (case := self._case(finding)).kind == "phantom":
            return case
        if member is not None and identity >= 0 and self._damaged.was_waited_for(member, identity):
            member.mark_damaged(identity)
            self._account.undelivered += 1
        room = finding.room or ("" if member is None else member.room)
        return Case("corrupt", finding.user, room, identity, member, finding)

    # -- missing deliveries --------------------------------------------------------------------------------

    def _judge_member(self, room: Room, member: Membership, unseen: list[tuple[int, SenderLog, int]]) -> None:
        if member.joined is None:
            return
        broke = member.end in {"lost", "declared"} and not _is_dropped(member)
        is_short = bool(member.missing or member.trailing or unseen)
        latest = self._expects.latest_sent(room, member) if broke and is_short and not room.ordered else 0
        for identity, key in member.missing.items():
            unsure = broke and not room.ordered and not self._expects.was_before(identity, latest)
            self._judge_missing(room, member, identity, key, is_tail=unsure)
        for identity, key in member.trailing.items():
            behind = room.ordered or not self._expects.was_before(identity, latest)
            self._judge_missing(room, member, identity, key, is_tail=broke and behind)
        for identity, log, number in unseen:
            if not member.has_damaged(identity):
                key = log.ack_keys.get(number, 0)
                behind = key > member.cursor.key if key else not self._expects.was_before(identity, latest)
                self._judge_missing(room, member, identity, key, is_tail=broke and behind)

    def _judge_misplaced(self, room: Room, member: Membership, log: SenderLog) -> None:
        """Judge the messages that a phantom with a higher number has drawn to before the member's start."""
        if member.joined is None:
            return
        broke = member.end in {"lost", "declared"} and not _is_dropped(member)
        latest = self._expects.latest_sent(room, member) if broke else 0
        for number in range(
            self._expects.sent_until(log, member.joined - 1),
            self._expects.sent_until(log, member.until),
        ):
            identity, key = message_id(log.number, number), log.keys[number]
            if 0 < key <= member.start_key and not (
                member.received(identity, key) or member.has_damaged(identity)
            ):
                unsure = broke and not self._expects.was_before(identity, latest)
                self._judge_missing(room, member, identity, key, is_tail=unsure)

    def _count_overlapping(self, room: Room) -> None:
        """Count the messages that were sent before a join was confirmed, and published perhaps after it.

        Each join looks only at the logs that have messages from before and after it: a long run has many that
        have not.
        """
        joins = [(member.joined, member) for member in room.released if member.joined is not None]
        begun = [(min(filter(None, log.sent)), log) for log in room.logs if any(log.sent)]
        begun.sort(key=lambda item: item[0], reverse=True)
        logs: list[SenderLog] = []
        for joined, member in sorted(joins, key=lambda item: item[0]):
            while begun and begun[-1][0] < joined:
                logs.append(begun.pop()[1])
            logs = [log for log in logs if self._expects.published(log)[-1] >= joined]
            if not member.history:  # what it asked for came before its time
                for log in logs:
                    self._count_overlapping_of(log, room, member, joined)

    def _count_overlapping_of(self, log: SenderLog, room: Room, member: Membership, joined: int) -> None:
        until = self._expects.sent_until(log, joined - 1)
        for number in range(bisect_left(self._expects.published(log), joined, 0, until), until):
            identity, key = message_id(log.number, number), log.keys[number]
            came = (key and member.received(identity, key)) or member.has_damaged(identity)
            wanted = not came and self._expects.is_wanted(room, member, log, number)
            if wanted and self._expects.is_expected(member, log, number) is None:
                self._count_indeterminate(log, number)

    def _judge_missing(
        self, room: Room, member: Membership, identity: int, key: int, *, is_tail: bool
    ) -> None:
        log_number, number = split_id(identity)
        log = self._audit.logs[log_number]
        if log.sent[number] < (member.joined or 0) or not self._expects.is_wanted(room, member, log, number):
            return
        expected = self._expects.is_expected(member, log, number)
        if expected is None:
            self._count_indeterminate(log, number)
        elif expected:
            self._undelivered(room, member, identity, key, is_tail=is_tail)

    def _count_indeterminate(self, log: SenderLog, number: int) -> None:
        self._account.indeterminate += 1
        self._account.doubt(log, number, expected=False)

    def _undelivered(self, room: Room, member: Membership, identity: int, key: int, *, is_tail: bool) -> None:
        log_number, number = split_id(identity)
        log = self._audit.logs[log_number]
        sent = log.sent[number]
        in_gap = any(low < key <= high for low, high in member.gaps or ())
        if in_gap or (is_tail and member.end == "declared"):
            self._account.gap_declared += 1
            self._account.undelivered += 1
        elif is_tail:
            self._count_indeterminate(log, number)  # on its way when the connection broke
        else:
            self._account.doubt(log, number, expected=True)
            accepted = log.acks[number] != 0
            away = self._was_away(member, sent, key if room.ordered else 0, accepted=accepted)
            kind = "resume_gap" if away else "lost"
            self._account.cases.append(Case(kind, member.user, room.name, identity, member))
            self._account.undelivered += 1

    def _was_away(self, member: Membership, sent: int, key: int, *, accepted: bool) -> bool:
        """Whether a resume should have brought the message: sent before that, and not due before the loss.

        Where no position (`key`) shows the latter, the times of sending do, which all workers know alike: it
        was sent after the last message that the membership had received. For a message that overtook another
        just then, that may be wrong: the loss is reported as the other of the two kinds. A last message that
        nobody sent tells no time. `accepted`: somebody has seen it, or it was acknowledged; else it counts as
        due when it was sent.
        """
        for outage in member.outages or ():
            if sent > outage.back:
                continue
            tells = accepted and (outage.last < 0 or self._was_sent(outage.last))
            if key > outage.key if key else sent > outage.sent if tells else sent >= outage.lost:
                return True
        return False

    # -- unwanted deliveries -------------------------------------------------------------------------------

    def _judge_unwanted(self, room: Room) -> None:
        """Find receivers of messages that were refused, or that another worker never sent, or not here."""
        for log in room.logs:
            if log.number // LOGS_PER_WORKER in self._unknown:
                continue
            for number, key in enumerate(log.keys):
                kind = ""
                if not key:
                    continue
                if log.acks[number] == FAILED:
                    kind = "ghost"
                elif not log.sent[number]:
                    kind = "phantom"
                elif log.room != room.name:
                    kind = "leak"
                if kind:
                    self._add_receivers(kind, room, message_id(log.number, number), key)

    def _add_receivers(self, kind: str, room: Room, identity: int, key: int) -> None:
        for member in room.released:
            if member.received(identity, key):
                named = -1 if kind == "phantom" else identity  # nobody sent a message with this id
                self._account.cases.append(Case(kind, member.user, room.name, named, member))
                self._account.not_counted += 1


def _has_phantoms(log: SenderLog) -> bool:
    """Whether somebody has received messages with numbers that its sender did not get to."""
    return any(key and not sent for key, sent in zip(log.keys, log.sent, strict=True))


def _is_dropped(member: Membership) -> bool:
    """Whether the server ended the connection after the phases: what it had accepted by then is lost."""
    return member.dropped and member.end == "lost"
