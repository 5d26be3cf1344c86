"""What is recorded of absences: their causes, and groups of equal ones that can be added up over workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MAX_GROUPS = 500  # of one worker; further ones lose their room, then their cause
_NAMED = 5  # users that a group names

AbsenceKind = Literal["absent", "interrupted", "unresolved", "missed"]
"""absent: never there, or gone at the end of its part. interrupted: kept out or lost, and back.
unresolved: its part ended soon after its first request, unanswered, or before it was started. missed:
deliveries, not users."""


class Cause(NamedTuple):
    """Why a user is absent: a code as in `expect_errors`, and a text for people."""

    code: str
    text: str
    own: bool = False  # the load generator itself failed, or lacked the means


NO_ANSWER = Cause("no_answer", "no answer to the handshake")
NO_STREAM = Cause("no_answer", "no answer to the request for the event stream")
NO_GREETING = Cause("no_greeting", "connected, and the server's greeting did not come")
JOIN_UNANSWERED = Cause("join_unanswered", "the join was not confirmed")
GENERATOR_STALLED = Cause(
    "generator_stalled", "the load generator stood still while an answer was due", own=True
)
SENDS_STALLED = Cause("generator_stalled", "the load generator stood still when they were due", own=True)
GENERATOR_LATE = Cause("generator_late", "the load generator was too late to start them", own=True)


class AbsenceKey(NamedTuple):
    """What the absences of a group have in common."""

    kind: AbsenceKind
    role: str
    code: str
    text: str
    own: bool = False
    room: str = ""  # "" where it concerns no room, or several
    phase: str = ""  # in which they began


@dataclass(slots=True)
class AbsenceGroup:
    """Absences with one key. `first` and `last` in µs of the monotonic clock."""

    key: AbsenceKey
    count: int = 0  # of users; of deliveries in groups of `missed`
    who: list[str] = field(default_factory=list)
    first: int = 0
    last: int = 0
    absent_us: int = 0

    def add(self, count: int, who: list[str], first: int, last: int, absent_us: int) -> None:
        """Add absences of the same key."""
        self.first = min(self.first, first) if self.who or self.count else first
        self.last = max(self.last, last)
        self.count += count
        self.absent_us += absent_us
        for name in who:
            if len(self.who) < _NAMED and name not in self.who:
                self.who.append(name)


class AbsenceGroups:
    """Groups by key, of a bounded number."""

    def __init__(self) -> None:
        self._groups: dict[AbsenceKey, AbsenceGroup] = {}

    def group(self, key: AbsenceKey) -> AbsenceGroup:
        """The group of a key; a more general one when there are very many."""
        for candidate in (key, key._replace(room=""), key._replace(room="", text="several causes", code="")):
            found = self._groups.get(candidate)
            if found is not None:
                return found
            if len(self._groups) < MAX_GROUPS:
                break
        found = self._groups[candidate] = AbsenceGroup(candidate)
        return found

    def merge(self, group: AbsenceGroup) -> None:
        """Add a group of another worker."""
        into = self.group(group.key)
        into.add(group.count, group.who, group.first, group.last, group.absent_us)

    def all(self) -> list[AbsenceGroup]:
        """All groups, largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, -group.absent_us, group.key))
