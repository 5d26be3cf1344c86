"""Messages without an acknowledgement that nobody has received: what can be said of them. Pure.

Without acknowledgements, a message counts as accepted when it is sent; what shows that it was is its first
delivery. If there is none, although somebody may have been there to get it:

- excused, when the scenario ended its sender's connection just then;
- unanswered, when the server did, or the connection broke;
- unknown else: nobody can tell whether it was accepted, since all who should have received it were joining,
  leaving or cut off just then. If somebody was surely there, it is lost: the audit says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from rtcli.load.accounts.sends import SendCounts, UnsentGroup, UnsentGroups, UnsentKey, WorkerSends
from rtcli.load.audit.evidence import WorkerAccount
from rtcli.load.audit.sender_log import SenderLog, message_id
from rtcli.load.results.model import Violation

_MAX_DOUBTS = 100_000  # of one worker
_MAX_EVIDENCE = 100


class Doubt(NamedTuple):
    """A message without any sign that it was accepted. `sent` in µs of the monotonic clock.

    `code` and `cause` say how the connection of its sender ended; "" if it did not, or by the scenario.
    """

    identity: int
    user: str
    room: str
    number: int  # counted by its user in its room from 1
    sent: int
    outcome: Literal["excused", "unanswered", "unknown"]
    code: str = ""
    cause: str = ""


class Settled(NamedTuple):
    """What became of the doubts: a correction of the account of sends, and how many nobody can tell of."""

    sends: WorkerSends
    unknown: int


def find_doubts(logs: Iterable[SenderLog], *, patience: int) -> list[Doubt]:
    """The doubts in the logs of a worker, when it knows what all others have received.

    `patience` (µs): a message whose sender's connection lasts that long is no longer on its way.
    """
    found: list[Doubt] = []
    for log in logs:
        if log.owned and not log.acked:
            found += _of_log(log, patience)
        if len(found) >= _MAX_DOUBTS:
            break
    return found[:_MAX_DOUBTS]


def _of_log(log: SenderLog, patience: int) -> Iterator[Doubt]:
    for number, (sent, ack) in enumerate(zip(log.sent, log.acks, strict=True)):
        if ack or not sent:
            continue
        identity, ordinal = message_id(log.number, number), log.earlier + number + 1
        doubt = Doubt(identity, log.publisher, log.room, ordinal, sent, "unknown")
        if log.ended is not None and log.ended < sent + patience:
            code, cause = log.ended_by or ("", "")
            doubt = doubt._replace(outcome="unanswered" if code else "excused", code=code, cause=cause)
        yield doubt


def settle_doubts(
    doubts: Iterable[Doubt], accounts: Iterable[WorkerAccount], phases: list[tuple[str, int]], base: int
) -> Settled:
    """Decide about the doubts of all workers by what was found about their receivers.

    `phases` are the name and the end (µs) of each phase, `base` is the start of the run (µs).
    """
    unsure: set[int] = set()
    sure: set[int] = set()
    for account in accounts:
        unsure.update(account.unsure)
        sure.update(account.sure)
    open_ones = [doubt for doubt in doubts if doubt.identity in unsure and doubt.identity not in sure]
    roles: dict[str, SendCounts] = {}
    groups = UnsentGroups()
    for doubt in open_ones:
        if doubt.outcome == "unknown":
            continue
        phase = next((name for name, end in phases if doubt.sent < end), phases[-1][0])
        role = doubt.user.rpartition(" ")[0]
        counts = roles.setdefault(role, SendCounts())
        _move(counts, phase, excused=doubt.outcome == "excused")
        if doubt.outcome == "unanswered":
            key = UnsentKey("unanswered", role, doubt.code, doubt.cause, phase)
            _add(groups.group(key), doubt, base)
    unknown = sum(doubt.outcome == "unknown" for doubt in open_ones)
    return Settled(WorkerSends(roles, groups.all()), unknown)


def _move(counts: SendCounts, phase: str, *, excused: bool) -> None:
    """Take one message out of the accepted ones of a phase."""
    counts.accepted[phase] = counts.accepted.get(phase, 0) - 1
    counts.unconfirmed -= 1
    if excused:
        counts.excused[phase] = counts.excused.get(phase, 0) + 1
        counts.excused_sent += 1
    else:
        counts.unsent_sent += 1


def _add(group: UnsentGroup, doubt: Doubt, base: int) -> None:
    group.add(1, (doubt.user,), doubt.room, first=doubt.sent, last=doubt.sent)
    if len(group.evidence) < _MAX_EVIDENCE:
        sent = round((doubt.sent - base) / 1e6, 6)
        row = Violation(
            "unsent", doubt.room, doubt.user, doubt.number, "", sent=sent, cause=doubt.cause,
            detail=f"nobody has received it ({doubt.code})",
        )  # fmt: skip
        group.evidence.append(row)
