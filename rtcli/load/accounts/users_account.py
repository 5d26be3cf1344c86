"""Adds up the attendance of all workers, and judges it by what the scenario allows. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import product
from typing import cast

from rtcli.load.accounts.absences import AbsenceGroup, AbsenceGroups, AbsenceKey
from rtcli.load.accounts.attendance import RoleCount, WorkerAttendance
from rtcli.load.accounts.expected_errors import at_most, is_allowed
from rtcli.load.results.accounts import (
    DeliveriesAccount,
    PhaseAttendance,
    RoleAttendance,
    Shortfall,
    ShortfallKind,
    UsersAccount,
)
from rtcli.load.scenario.model import DEFAULT_ATTENDANCE, Scenario


class RunAttendance:
    """The attendance of all workers. `base` is the start of the run (µs), `cut_short`: it was interrupted.

    Users whose part ended too soon to tell whether their first request would have been answered are
    `unresolved`, and count neither as planned nor as absent. When there are more of them than users of their
    role whom the server let in, they were absent, unless the run itself was cut short. Those whom the load
    generator itself kept out say nothing of the server, and are absent when they are more than all others.
    """

    def __init__(
        self,
        scenario: Scenario,
        workers: Iterable[WorkerAttendance],
        base: int,
        *,
        cut_short: bool = False,
    ) -> None:
        self.unresolved: Counter[str] = Counter()
        self._scenario = scenario
        self._base = base
        self._counts: dict[str, RoleCount] = {}
        groups = AbsenceGroups()
        for worker in workers:
            for name, count in worker.roles.items():
                self._counts.setdefault(name, RoleCount()).add(count)
            for group in worker.groups:
                groups.merge(group)
        self._groups = self._resolve(groups.all(), cut_short=cut_short)
        self._expected = self._expected_codes()
        self._roles = {name: self._role(name) for name in scenario.roles if name in self._counts}
        self._short = self._short_roles()
        self._kept_out = self._kept_out_by_generator()

    def _resolve(self, groups: list[AbsenceGroup], *, cut_short: bool) -> list[AbsenceGroup]:
        """Decide about users of whom nothing is known."""
        unknown: Counter[tuple[str, bool]] = Counter()
        for group in groups:
            if group.key.kind == "unresolved":
                unknown[group.key.role, group.key.own] += group.count
        found = []
        for group in groups:
            role, own = group.key.role, group.key.own
            if group.key.kind == "unresolved":
                if cut_short or not self._is_telling(role, unknown, own=own):
                    self.unresolved[role] += group.count
                    continue
                group.key = group.key._replace(kind="absent")
                self._counts[role].planned += group.count
            found.append(group)
        return found

    def _is_telling(self, role: str, unknown: Counter[tuple[str, bool]], *, own: bool) -> bool:
        """Whether those of whom nothing is known are too many. `own`: whom the generator kept out."""
        came_in, kept_out = self._counts[role].came_in, unknown[role, own]
        if not own:
            return kept_out > came_in
        others = unknown[role, False]
        return kept_out > came_in + others if others > came_in else kept_out + others > came_in

    def _expected_codes(self) -> set[tuple[str, str, str]]:
        """Role, code and phase of the absences that `expect_errors` allows: a share of the role's users."""
        users: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for group in self._groups:
            if group.key.kind != "missed":
                users[group.key.role, group.key.code][group.key.phase] += group.count
        found: set[tuple[str, str, str]] = set()
        for (role, code), by_phase in users.items():
            count = self._counts[role]
            for entry, phase in product(self._scenario.roles[role].expect_errors, by_phase):
                within = entry.phase or ""
                number = by_phase[within] if within else sum(by_phase.values())
                distinct = {within: number - count.again.get(code, {}).get(within, 0)}
                if is_allowed([entry], code, phase, distinct, {within: count.planned}):
                    found.add((role, code, phase))
        return found

    def _is_expected(self, key: AbsenceKey) -> bool:
        return (key.role, key.code, key.phase) in self._expected

    def _role(self, name: str) -> RoleAttendance:
        count = self._counts[name]
        own = self._scenario.roles[name].attendance
        # What the scenario allows, and what the generator itself caused, says nothing about the server.
        excused = sum(
            group.absent_us
            for group in self._groups
            if group.key.role == name and (group.key.own or self._is_expected(group.key))
        )
        return RoleAttendance(
            role=name,
            planned=count.planned,
            present=count.present,
            interrupted=count.interrupted,
            planned_s=_seconds(sum(count.planned_us) - excused),
            present_s=_seconds(sum(count.present_us)),
            required=(self._scenario.attendance if own is None else own) or None,
            phases=tuple(
                PhaseAttendance(phase.name, _seconds(planned), _seconds(present))
                for phase, planned, present in zip(
                    self._scenario.phases, count.planned_us, count.present_us, strict=True
                )
                if planned
            ),
        )

    def _short_roles(self) -> set[str]:
        """The roles whose absent users are too many, or were away for too long.

        With the default share, nobody may be absent in the end; with less, so many users as of the time.
        """
        absent: Counter[str] = Counter()
        for group in self._groups:
            if group.key.kind == "absent" and not group.key.own and not self._is_expected(group.key):
                absent[group.key.role] += group.count
        short = {name for name, role in self._roles.items() if role.is_short}
        for name, count in absent.items():
            required = self._roles[name].required
            if required is not None:
                share = 0.0 if required >= DEFAULT_ATTENDANCE else 1 - required
                if count > at_most(share, self._roles[name].planned):
                    short.add(name)
        return short

    def _kept_out_by_generator(self) -> set[str]:
        """The roles whose users were there for too little of their time because of the generator itself."""
        own: Counter[str] = Counter()
        for group in self._groups:
            own[group.key.role] += group.absent_us if group.key.own else 0
        found = set()
        for name, away in own.items():
            role = self._roles[name]
            whole = role.planned_s + _seconds(away)
            if role.required is not None and whole and role.present_s < role.required * whole:
                found.add(name)
        return found

    # -- the accounts --------------------------------------------------------------------------------------

    def users(self) -> UsersAccount:
        """Who should have been there, and who was."""
        return UsersAccount(
            roles=tuple(self._roles.values()),
            shortfalls=tuple(self._shortfall(group) for group in self._groups if group.key.kind != "missed"),
            judged=any(role.required is not None for role in self._roles.values()),
        )

    def deliveries(self, *, expected: int, delivered: int, indeterminate: int = 0) -> DeliveriesAccount:
        """What should have arrived by plan. The numbers are the audit's."""
        missed = [group for group in self._groups if group.key.kind == "missed"]
        total = sum(group.count for group in missed)
        return DeliveriesAccount(
            planned=expected + total,
            delivered=delivered,
            missed=total,
            indeterminate=indeterminate,
            shortfalls=tuple(self._shortfall(group) for group in missed),
            judged=self._scenario.audit.delivery != "none",
        )

    def _shortfall(self, group: AbsenceGroup) -> Shortfall:
        key = group.key
        return Shortfall(
            kind=cast("ShortfallKind", key.kind),
            role=key.role,
            code=key.code,
            cause=key.text,
            count=group.count,
            room=key.room,
            phase=key.phase,
            who=tuple(group.who),
            first=_seconds(group.first - self._base),
            last=_seconds(group.last - self._base),
            user_seconds=_seconds(group.absent_us),
            allowed=self._is_allowed(key),
            own=key.own,
        )

    def _is_allowed(self, key: AbsenceKey) -> bool:
        """Whether the scenario allows an absence, or what was missed in it."""
        if key.kind == "missed" and self._scenario.audit.delivery in {"at-most-once", "none"}:
            return True
        if self._roles[key.role].required is None or self._is_expected(key):
            return True
        if key.kind == "absent" and key.own:
            return False
        if key.kind == "interrupted" and key.own:
            return key.role not in self._kept_out
        if key.kind == "interrupted":  # by itself no violation, but a reason for too little presence
            return not self._roles[key.role].is_short
        return key.role not in self._short


def _seconds(us: int) -> float:
    return round(us / 1e6, 6)
