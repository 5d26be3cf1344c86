"""The evidence of violations for reports: times, the frames around them, and their likely causes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.judgement.judge import Account, Case
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Note
from rtcli.load.audit.sender_log import FAILED, SenderLog, message_id, split_id
from rtcli.load.results.model import FrameEvidence, Violation, ViolationGroup

_NEAR_US = 1_000_000
_LOOKED_AT = 50  # messages of each log before and after a lost one
_LOSSES = frozenset({"lost", "resume_gap"})


@dataclass(slots=True)
class Group:
    """Violations of one kind, in one room, with one cause. Groups of several workers can be added."""

    count: int = 0
    users: set[str] = field(default_factory=set)
    first: float | None = None
    last: float | None = None
    within_ms: int = 0  # the largest distance of one of them from the cause

    def add(self, other: Group) -> None:
        """Add the group of another worker."""
        self.count += other.count
        self.users |= other.users
        self.first = min((it for it in (self.first, other.first) if it is not None), default=None)
        self.last = max((it for it in (self.last, other.last) if it is not None), default=None)
        self.within_ms = max(self.within_ms, other.within_ms)


GroupKey = tuple[str, str, str]  # kind, room, cause
TimesKey = tuple[str, str, str, int]
"""Of cases: the kind, the role, the room ("" where it does not count), the key of the bin."""


@dataclass(slots=True)
class WorkerAccount:
    """The account of one worker, as it goes to the coordinator. `counts` by kind."""

    counts: dict[str, int]
    violations: list[Violation]
    groups: dict[GroupKey, Group]
    subscribers: int
    not_counted: int
    times: dict[TimesKey, int]
    unsure: list[int] = field(default_factory=list)  # as in `Account`
    sure: list[int] = field(default_factory=list)


def make_worker_account(
    audit: Audit,
    account: Account,
    *,
    keep: int,
    bin_of: Callable[[float], int],
    rooms: Container[str] = (),
) -> WorkerAccount:
    """Turn what a judge found into counts, groups, and up to `keep` violations of each kind with evidence.

    `bin_of` gives the key of the bin that a time (seconds since the start) falls into. Only the cases in
    `rooms` are counted by room.
    """
    counts: dict[str, int] = {"gap_declared": account.gap_declared, "indeterminate": account.indeterminate}
    counts["sent"], counts["acknowledged"] = audit.sent, audit.acknowledged
    counts["undelivered"] = account.undelivered
    violations: list[Violation] = []
    groups: dict[GroupKey, Group] = {}
    times: Counter[TimesKey] = Counter()
    for case in account.cases:
        counts[case.kind] = counts.get(case.kind, 0) + 1
        cause, distance = _cause(audit, case)
        time = _time(audit, case)
        role, room = case.user.rpartition(" ")[0], case.room if case.room in rooms else ""
        times[case.kind, role, room, bin_of(time or 0.0)] += 1
        group = groups.setdefault((case.kind, case.room, cause), Group())
        group.add(Group(1, {case.user}, time, time, distance))
        if counts[case.kind] <= keep:
            near = f"{distance} ms from {cause}" if distance else cause
            violations.append(_violation(audit, case, near))
    return WorkerAccount(
        counts,
        violations,
        groups,
        audit.subscribers,
        account.not_counted,
        dict(times),
        sorted(account.unsure),
        sorted(account.sure),
    )


def group_texts(groups: dict[GroupKey, Group], subscribers: int) -> list[ViolationGroup]:
    """The groups with their sentences, largest first."""
    found = []
    for (kind, room, cause), group in sorted(groups.items(), key=lambda item: -item[1].count):
        all_of = "1" if group.count == 1 else f"all {group.count}"
        near = (
            f", within {group.within_ms} ms of {cause}" if group.within_ms else f", {cause}" if cause else ""
        )
        text = f"{all_of} in {room}{near}, {len(group.users)} of {subscribers} subscribers"
        found.append(
            ViolationGroup(kind, group.count, text, (room,), len(group.users), group.first, group.last)
        )
    return found


def _sent(audit: Audit, case: Case) -> int | None:
    if case.identity < 0:
        return None
    log_number, number = split_id(case.identity)
    return audit.logs[log_number].sent[number] or None


def _time(audit: Audit, case: Case) -> float | None:
    at = case.finding.at if case.finding is not None else _sent(audit, case)
    return None if at is None else (at - audit.base) / 1e6


def _cause(audit: Audit, case: Case) -> tuple[str, int]:
    """The nearest event within 1 s of a violation, and its distance in ms; without one, the detail and 0."""
    member = case.member
    at = case.finding.at if case.finding is not None else _sent(audit, case)
    if member is None or at is None:
        return (case.finding.detail if case.finding is not None else ""), 0
    near = [(abs(at - time), name) for name, time in _events(member) if abs(at - time) <= _NEAR_US]
    within = [outage for outage in member.outages or () if outage.lost <= at <= outage.back]
    if within:
        return "a resume", max(1, (within[0].back - at) // 1000)
    if not near:
        return (case.finding.detail if case.finding is not None else ""), 0
    distance, name = min(near)
    return name, max(1, distance // 1000)


def _events(member: Membership) -> Iterable[tuple[str, int]]:
    for outage in member.outages or ():
        yield "a resume", outage.back
        yield "a lost connection", outage.lost
    if member.joined is not None:
        yield "a join", member.joined
    if member.leaving is not None:
        yield "a leave", member.leaving


def _violation(audit: Audit, case: Case, cause: str) -> Violation:
    finding, member = case.finding, case.member
    publisher, ordinal, acknowledged = "", 0, None
    if case.identity >= 0:
        log_number, number = split_id(case.identity)
        log = audit.logs[log_number]
        publisher, ordinal = log.publisher, log.earlier + number + 1
        acknowledged = log.acks[number] if log.acks[number] > 0 else None
        if log.acks[number] == FAILED:
            cause = "its sender got an error"
    sent = _sent(audit, case)
    detail = finding.detail if finding is not None else ""
    if case.kind == "reordered" and case.reference >= 0:
        detail = f"after {_name(audit, case.reference)}"
    return Violation(
        kind=case.kind,
        room=case.room,
        publisher=publisher or "unknown",
        number=ordinal,
        subscriber=case.user,
        connection=finding.connection if finding is not None else (member.connection if member else ""),
        sent=_seconds(audit, sent),
        acknowledged=_seconds(audit, acknowledged),
        received=None if finding is None else _seconds(audit, finding.at),
        cause=cause,
        detail=detail,
        frames=tuple(_frames(audit, case)),
    )


def _name(audit: Audit, identity: int) -> str:
    log_number, number = split_id(identity)
    return audit.logs[log_number].message_name(number)


def _seconds(audit: Audit, at: int | None) -> float | None:
    return None if at is None else round((at - audit.base) / 1e6, 6)


def _frames(audit: Audit, case: Case) -> Iterable[FrameEvidence]:
    """The frames that the subscriber saw around the violation, oldest first."""
    notes: list[Note] = []
    if case.finding is not None:
        notes = [*case.finding.context, Note(case.finding.at, "in", case.finding.raw)]
    elif case.member is not None:
        skip = audit.skips.get((id(case.member), case.identity))
        if skip is None and case.kind in _LOSSES:
            notes = _neighbours(audit, case.member, case.identity)
        elif skip is not None:
            notes = [*skip.context, *([] if skip.before is None else [skip.before]), skip.after]
    for note in sorted(notes, key=lambda note: note.at):
        if note.text:
            yield frame_of(note, audit.base)


def frame_of(note: Note, base: int) -> FrameEvidence:
    """A subscriber's note as evidence. `base` is the start of the run (µs)."""
    text = note.text.decode("utf-8", "replace")
    direction = {"in": "in", "out": "out"}.get(note.direction, "note")
    return FrameEvidence(round((note.at - base) / 1e6, 6), direction, text)  # type: ignore[arg-type] # one of three words


def _neighbours(audit: Audit, member: Membership, identity: int) -> list[Note]:
    """Notes of the message before a lost one and of the one after it that the membership received."""
    log_number, number = split_id(identity)
    lost = audit.logs[log_number]
    key, sent = lost.keys[number], lost.sent[number]
    before: list[tuple[int, SenderLog, int]] = []
    after: list[tuple[int, SenderLog, int]] = []
    for log in audit.rooms[member.room].logs:
        for other in _received_near(log, member, sent):
            place = log.keys[other] if key else log.sent[other]
            (before if place < (key or sent) else after).append((place, log, other))
    found = [("before", *max(before, key=_place))] if before else []
    found += [("after", *min(after, key=_place))] if after else []
    return [
        Note(log.sent[other], "note", f"sent, and received {side} it: {log.message_name(other)}".encode())
        for side, _, log, other in found
    ]


def _place(item: tuple[int, SenderLog, int]) -> int:
    return item[0]


def _received_near(log: SenderLog, member: Membership, sent: int) -> Iterator[int]:
    """The numbers of a log's messages, sent at about this time, that the membership received."""
    end = len(log.sent)
    while end and not log.sent[end - 1]:  # never sent
        end -= 1
    middle = bisect_left(log.sent, sent, 0, end)
    for number in range(max(0, middle - _LOOKED_AT), min(end, middle + _LOOKED_AT)):
        key = log.keys[number]
        if key and member.received(message_id(log.number, number), key):
            yield number
