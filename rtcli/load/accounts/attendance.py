"""The attendance of one worker's users: user-seconds by role and phase, and absences grouped by cause.

Memory: a few numbers for each user who is there, and groups of a bounded number. Only the times without a
user in a room are kept one by one, since what was published meanwhile is known at the end (see `missed`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from rtcli.load.accounts.absence import Absence, RoomByPlan
from rtcli.load.accounts.absences import (
    GENERATOR_LATE,
    AbsenceGroup,
    AbsenceGroups,
    AbsenceKey,
    AbsenceKind,
    Cause,
)
from rtcli.load.accounts.presence import Presence
from rtcli.load.audit.evidence import frame_of
from rtcli.load.audit.records import Note
from rtcli.load.results.model import Violation

MIN_GRACE_US = 1_000_000  # a request that began this long before the end may be without an answer
_MAX_STRETCHES = 50_000  # of one worker; what is missed in further ones is not counted


class MissedStretch(NamedTuple):
    """A time without a user in a room. Messages of others that were accepted in it are missed."""

    user: str
    room: str
    start: int
    end: int
    key: AbsenceKey


@dataclass(slots=True)
class RoleCount:
    """Who of a role was there. Times in µs, one for each phase."""

    planned: int = 0  # users
    present: int = 0
    interrupted: int = 0
    planned_us: list[int] = field(default_factory=list)
    present_us: list[int] = field(default_factory=list)
    came_in: int = 0  # users whom the server has let in
    again: dict[str, dict[str, int]] = field(default_factory=dict)
    """By code and phase ("": the whole run): how often groups count a user more than once."""

    def add(self, other: RoleCount) -> None:
        """Add the counts of another worker."""
        self.planned += other.planned
        self.present += other.present
        self.interrupted += other.interrupted
        self.came_in += other.came_in
        for code, by_phase in other.again.items():
            mine = self.again.setdefault(code, {})
            for phase, count in by_phase.items():
                mine[phase] = mine.get(phase, 0) + count
        self.planned_us = _sums(self.planned_us, other.planned_us)
        self.present_us = _sums(self.present_us, other.present_us)


def _sums(one: list[int], other: list[int]) -> list[int]:
    return [a + b for a, b in zip_longest(one, other, fillvalue=0)]


@dataclass(slots=True)
class WorkerAttendance:
    """The attendance of a worker's users, as it goes to the coordinator."""

    roles: dict[str, RoleCount] = field(default_factory=dict)
    groups: list[AbsenceGroup] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)


class Attendance:
    """Accounts for the presence of one worker's users.

    `base` is the start of the run (µs), `phases` the name and the end (µs) of each phase, `keep` the number
    of absent users whose last frames are kept. `stood_still` tells for how long (µs) the load generator stood
    still between two times.
    """

    def __init__(
        self,
        base: int,
        phases: Sequence[tuple[str, int]],
        *,
        keep: int,
        stood_still: Callable[[int, int], int] = lambda _since, _until: 0,
    ) -> None:
        self.stood_still = stood_still
        self.groups = AbsenceGroups()
        self.stretches: list[MissedStretch] = []
        self.violations: list[Violation] = []
        self.roles: dict[str, RoleCount] = {}
        self._base = base
        self._names = [name for name, _ in phases]
        self._ends = [end for _, end in phases]
        self._keep = keep
        self._slowest = 0  # µs from a request to its confirmation
        self._open: set[Presence] = set()

    def begin(
        self,
        name: str,
        role: str,
        end: int,
        *,
        due: bool = False,
        notes: Sequence[Note] = (),
        rooms: Callable[[], Sequence[RoomByPlan]],
    ) -> Presence:
        """A user's part begins. See `Presence`."""
        user = Presence(self, name, role, end, due=due, notes=notes, rooms=rooms)
        self._open.add(user)
        return user

    def never_started(
        self, name: str, role: str, since: int, now: int, cause: Cause = GENERATOR_LATE
    ) -> None:
        """Account for a user whom the load generator should have had there, and did not."""
        count = self._role(role)
        count.planned += 1
        self._add_planned(count, since, now, present=False)
        self._add_kept_out("absent", name, role, since, now, cause=cause)

    def over_before_start(self, name: str, role: str, since: int, now: int) -> None:
        """Account for a user whose part was over before the load generator came to start it.

        Who is started this late is not held against anybody, so one of them tells nothing. Many do.
        """
        self._role(role)
        self._add_kept_out("unresolved", name, role, since, now)

    def _add_kept_out(
        self, kind: AbsenceKind, name: str, role: str, since: int, now: int, *, cause: Cause = GENERATOR_LATE
    ) -> None:
        phase = self._names[self._phase(since)]
        key = AbsenceKey(kind, role, cause.code, cause.text, cause.own, phase=phase)
        self.groups.group(key).add(1, [name], since, now, now - since)

    def started_late(self, user: Presence, since: int, now: int) -> None:
        """Account for the time in which the load generator should have started a user, and had not."""
        count = self._role(user.role)
        self._add_planned(count, since, now, present=False)
        self._add_kept_out("interrupted", user.name, user.role, since, now)

    def end_part(self, user: Presence, now: int) -> None:
        """A user's part is over before the run is."""
        user.finish(now, grace=self._grace)

    def close(self, now: int) -> None:
        """The phases are over, or were cut short: nobody is planned any more."""
        for user in list(self._open):
            user.finish(min(now, user.end), grace=self._grace)

    @property
    def _grace(self) -> int:
        """For how long (µs) a request may be without an answer: slow is not absent."""
        return max(MIN_GRACE_US, 2 * self._slowest)

    def export(self, missed: Sequence[AbsenceGroup] = ()) -> WorkerAttendance:
        """The account for the coordinator, with what `missed` has counted."""
        return WorkerAttendance(self.roles, [*self.groups.all(), *missed], self.violations)

    def count_absent(self) -> int:
        """The number of users who are absent without leave now."""
        return sum(user.is_absent for user in self._open)

    # -- what presences report -----------------------------------------------------------------------------

    def planned(self, user: Presence, start: int, end: int, *, present: bool) -> None:
        """Account for a time in which the user should be there."""
        self._add_planned(self._role(user.role), start, end, present=present)

    def _add_planned(self, role: RoleCount, start: int, end: int, *, present: bool) -> None:
        phase = self._phase(start)
        while start < end:
            until = end if phase == len(self._ends) - 1 else min(end, self._ends[phase])
            role.planned_us[phase] += until - start
            if present:
                role.present_us[phase] += until - start
            start, phase = until, phase + 1

    def answered(self, taken: int) -> None:
        """Account for a request that was confirmed after so many µs."""
        self._slowest = max(self._slowest, taken)

    def returned(self, user: Presence, absence: Absence, now: int, *, resumed: bool) -> None:
        """Account for an absence that is over."""
        key = self._key("interrupted", user, absence)
        group = self.groups.group(key)
        counted = user.counted = user.counted or set()
        is_first = group.key not in counted
        group.add(is_first, [user.name], absence.since, now, absence.absent_us)
        counted.add(group.key)
        if is_first:
            self._count_code(user, group.key)
        self._add_stretches(user, absence, key, resumed=resumed)

    def over(self, user: Presence, outcome: AbsenceKind | None, absence: Absence | None, now: int) -> None:
        """Account for the end of a user's part."""
        self._open.discard(user)
        role = self._role(user.role)
        role.came_in += user.came_in
        if user.due and outcome != "unresolved":
            role.planned += 1
            role.present += outcome is None
            role.interrupted += outcome is None and user.counted is not None
        if outcome is None or absence is None:
            return
        key = self._key(outcome, user, absence)
        group = self.groups.group(key)
        group.add(1, [user.name], absence.since, now, absence.absent_us)
        self._count_code(user, group.key)
        if outcome == "absent":
            self._add_stretches(user, absence, key, resumed=False)
            self._keep_evidence(user, absence, key, now)

    def _count_code(self, user: Presence, key: AbsenceKey) -> None:
        """Note a user that more than one group counts with the same code."""
        counted = user.counted = user.counted or set()
        for phase in (key.phase, ""):
            if (key.code, phase) in counted:
                again = self._role(user.role).again.setdefault(key.code, {})
                again[phase] = again.get(phase, 0) + 1
            counted.add((key.code, phase))

    def _role(self, name: str) -> RoleCount:
        found = self.roles.get(name)
        if found is None:
            nothing = [0] * len(self._ends)
            found = self.roles[name] = RoleCount(planned_us=nothing, present_us=list(nothing))
        return found

    def _phase(self, at: int) -> int:
        return min(bisect_right(self._ends, at), len(self._ends) - 1)

    def _key(self, kind: AbsenceKind, user: Presence, absence: Absence) -> AbsenceKey:
        cause = absence.cause if kind == "interrupted" else absence.final_cause()
        phase = self._names[self._phase(absence.since)]
        return AbsenceKey(kind, user.role, cause.code, cause.text, cause.own, absence.room, phase)

    def _add_stretches(self, user: Presence, absence: Absence, key: AbsenceKey, *, resumed: bool) -> None:
        for stretch in absence.missed(resumed=resumed):
            if len(self.stretches) < _MAX_STRETCHES:
                missed = key._replace(kind="missed", room=stretch.room)
                self.stretches.append(
                    MissedStretch(user.name, stretch.room, stretch.start, stretch.end, missed)
                )

    def _keep_evidence(self, user: Presence, absence: Absence, key: AbsenceKey, now: int) -> None:
        if len(self.violations) >= self._keep:
            return
        gone = "gone" if user.took_part else "never there"
        since, until = self._seconds(absence.since), self._seconds(now)
        self.violations.append(
            Violation(
                kind="absent",
                room=absence.room,
                publisher="",
                number=0,
                subscriber=user.name,
                cause=key.text,
                detail=f"{gone}, absent from {since:.3f} s to {until:.3f} s",
                frames=tuple(frame_of(note, self._base) for note in user.notes),
            )
        )

    def _seconds(self, at: int) -> float:
        return round((at - self._base) / 1e6, 6)
