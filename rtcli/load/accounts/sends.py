"""The account of what one worker's users should have sent: what was accepted, and why the rest was not. Pure.

A message is *due* when its flow comes to it, or its schedule says so. Then it has one outcome:

- accepted: acknowledged, or sent in a protocol without acknowledgements;
- refused: the server answered with an error;
- unanswered: sent, and no answer came before the connection was lost or the run had settled;
- not_sendable: there was no connection, or the user was absent without leave and its flow did not get there;
- excused: the scenario itself prevented it: `cut`, `kill`, `disconnect`, the end of a stay or of the run.

Accepted messages are counted by bin as they come, and by phase once a second (`fold`): one of them costs no
more than that. The others are grouped by cause. Times are whole microseconds of the monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from rtcli.load.audit.evidence import frame_of
from rtcli.load.audit.records import Note
from rtcli.load.results.model import Violation

MAX_PLANNED = 1_000_000  # messages of one worker that are looked for in the plans of absent users
MAX_GROUPS = 500  # of one worker: codes come from the server; further groups lose their code
_NAMED = 5  # users that a group names

_Planned = TypeVar("_Planned")
Outcome = Literal["refused", "unanswered", "not_sendable"]
"""Why a message that was due was not accepted, and the scenario did not prevent it."""


class UnsentKey(NamedTuple):
    """What the messages of a group have in common."""

    outcome: Outcome
    role: str
    code: str  # as in `expect_errors`
    cause: str  # for people
    phase: str
    own: bool = False  # the load generator itself failed, or lacked the means


@dataclass(slots=True)
class UnsentGroup:
    """Messages that were not accepted, with one key."""

    key: UnsentKey
    count: int = 0
    who: list[str] = field(default_factory=list)
    room: str = ""  # "": several
    first: int = 0  # when the first of them was due
    last: int = 0
    evidence: list[Violation] = field(default_factory=list)

    def add(self, count: int, who: Sequence[str], room: str, *, first: int, last: int) -> None:
        """Add messages of the same key."""
        self.first = min(self.first, first) if self.count else first
        self.last = max(self.last, last)
        self.room = room if not self.count or room == self.room else ""
        self.count += count
        for name in who:
            if len(self.who) < _NAMED and name not in self.who:
                self.who.append(name)


class UnsentGroups:
    """Groups by key, of a bounded number."""

    def __init__(self) -> None:
        self._groups: dict[UnsentKey, UnsentGroup] = {}

    def group(self, key: UnsentKey) -> UnsentGroup:
        """The group of a key; a general one when there are very many."""
        found = self._groups.get(key)
        if found is None:
            if len(self._groups) >= MAX_GROUPS:
                key = key._replace(code="several", cause="several causes")
            found = self._groups.setdefault(key, UnsentGroup(key))
        return found

    def merge(self, other: UnsentGroup) -> None:
        """Add a group of another worker."""
        group = self.group(other.key)
        group.add(other.count, other.who, other.room, first=other.first, last=other.last)
        group.evidence += other.evidence

    def all(self) -> list[UnsentGroup]:
        """All groups, largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.key))


@dataclass(slots=True)
class SendCounts:
    """The messages of a role that were accepted or excused. `excused` and `accepted` by phase."""

    accepted: dict[str, int] = field(default_factory=dict)
    excused: dict[str, int] = field(default_factory=dict)
    unconfirmed: int = 0  # of the accepted: sent without asking for an acknowledgement
    excused_sent: int = 0  # of the excused: sent, and the answer was prevented
    unsent_sent: int = 0  # of the refused, unanswered and not sendable: really sent

    def add(self, other: SendCounts) -> None:
        """Add the counts of another worker."""
        for mine, others in ((self.accepted, other.accepted), (self.excused, other.excused)):
            for phase, count in others.items():
                mine[phase] = mine.get(phase, 0) + count
        self.unconfirmed += other.unconfirmed
        self.excused_sent += other.excused_sent
        self.unsent_sent += other.unsent_sent


@dataclass(slots=True)
class WorkerSends:
    """The account of a worker, as it goes to the coordinator."""

    roles: dict[str, SendCounts] = field(default_factory=dict)
    groups: list[UnsentGroup] = field(default_factory=list)


class RoleSends:
    """What users of one role count themselves, by bin key: `acknowledged[bin_key] += 1`."""

    __slots__ = ("acknowledged", "unconfirmed")

    def __init__(self) -> None:
        self.acknowledged: defaultdict[int, int] = defaultdict(int)
        self.unconfirmed: defaultdict[int, int] = defaultdict(int)  # sent without asking for an answer


class UnsentMessage(NamedTuple):
    """A message that was due and not accepted."""

    user: str
    room: str
    due: int
    number: int = 0  # of the message, counted by its user in its room from 1; 0: it got none
    sent: int | None = None  # None: it was not sent
    notes: Sequence[Note] = ()  # the user's latest, for evidence


class Sends:
    """Accounts for the messages of one worker's users.

    `base` is the start of the run (µs), `phases` the name and the end (µs) of each phase, `phase_of_bin` the
    phase of a bin by its key, `keep` the number of messages whose evidence is kept. `max_planned`: so many
    messages are looked for in the plans of absent users.
    """

    def __init__(
        self,
        base: int,
        phases: Sequence[tuple[str, int]],
        *,
        phase_of_bin: Callable[[int], str],
        keep: int,
        max_planned: int | None = None,
    ) -> None:
        self._base = base
        self._names = [name for name, _ in phases]
        self._ends = [end for _, end in phases]
        self._phase_of_bin = phase_of_bin
        self._keep = keep
        self._users: dict[str, RoleSends] = {}
        self._roles: dict[str, SendCounts] = {}
        self._groups = UnsentGroups()
        self._left_to_plan = MAX_PLANNED if max_planned is None else max_planned
        self._planned: dict[str, tuple[int, float]] = {}  # by role: messages, and seconds of absence

    def within_limit(self, planned: Iterable[_Planned]) -> Iterator[_Planned]:
        """Planned messages, as long as the worker has not looked at too many altogether."""
        for message in planned:
            if not self._left_to_plan:
                return
            self._left_to_plan -= 1
            yield message

    @property
    def limit_is_reached(self) -> bool:
        """Whether the worker looks at no more planned messages: the rest is estimated."""
        return not self._left_to_plan

    def add_planned(self, role: str, count: int, seconds: float) -> None:
        """Record how many messages a user of a role did not come to in so many seconds of absence."""
        counted, absent = self._planned.get(role, (0, 0.0))
        self._planned[role] = counted + count, absent + seconds

    def estimate(self, role: str, seconds: float) -> int:
        """How many messages a user of a role does not come to in so many seconds, by those before."""
        counted, absent = self._planned.get(role, (0, 0.0))
        return round(counted * seconds / absent) if absent > 0 else 0

    def role(self, name: str) -> RoleSends:
        """The counts that the users of a role add to."""
        return self._users.setdefault(name, RoleSends())

    def unsent(self, key: UnsentKey, message: UnsentMessage) -> None:
        """Account for a message that was due and not accepted. The key's phase is that of the message."""
        key = key._replace(phase=self.phase(message.due))
        group = self._groups.group(key)
        group.add(1, (message.user,), message.room, first=message.due, last=message.due)
        self._count(key.role).unsent_sent += message.sent is not None
        if self._keep:
            self._keep -= 1
            group.evidence.append(self._evidence(group.key, message))

    def not_reached(self, key: UnsentKey, first: UnsentMessage, count: int, last: int) -> None:
        """Account for messages of one phase that a user did not come to. `last`: when the last was due."""
        self.unsent(key, first)
        if count > 1:
            group = self._groups.group(key._replace(phase=self.phase(first.due)))
            group.add(count - 1, (first.user,), first.room, first=first.due, last=last)

    def excused(self, role: str, due: int, *, sent: bool = False, count: int = 1) -> None:
        """Account for messages that the scenario itself prevented, or whose answer it prevented."""
        counts, phase = self._count(role), self.phase(due)
        counts.excused[phase] = counts.excused.get(phase, 0) + count
        counts.excused_sent += count if sent else 0

    def phase(self, at: int) -> str:
        """The name of the phase at a time; after the end, of the last one."""
        return self._names[min(bisect_right(self._ends, at), len(self._names) - 1)]

    def fold(self) -> None:
        """Add up what was counted by bin, by phase. To be called about once a second."""
        for name, users in self._users.items():
            counts = self._count(name)
            for bins in (users.acknowledged, users.unconfirmed):
                for key, count in bins.items():
                    phase = self._phase_of_bin(key)
                    counts.accepted[phase] = counts.accepted.get(phase, 0) + count
            counts.unconfirmed += sum(users.unconfirmed.values())
            users.acknowledged.clear()
            users.unconfirmed.clear()

    def totals(self) -> tuple[dict[str, dict[str, int]], int]:
        """What was accepted, by role and phase, and how many were not, until the last `fold`."""
        accepted = {name: dict(counts.accepted) for name, counts in self._roles.items()}
        return accepted, sum(group.count for group in self._groups.all())

    def export(self) -> WorkerSends:
        """The account for the coordinator."""
        self.fold()
        return WorkerSends(self._roles, self._groups.all())

    def _count(self, role: str) -> SendCounts:
        return self._roles.setdefault(role, SendCounts())

    def _evidence(self, key: UnsentKey, message: UnsentMessage) -> Violation:
        return Violation(
            kind="unsent",
            room=message.room,
            publisher=message.user,
            number=message.number,
            subscriber="",
            sent=None if message.sent is None else self._seconds(message.sent),
            cause=key.cause,
            detail=f"due at {self._seconds(message.due):.3f} s ({key.code})",
            frames=tuple(frame_of(note, self._base) for note in message.notes),
        )

    def _seconds(self, at: int) -> float:
        return round((at - self._base) / 1e6, 6)
