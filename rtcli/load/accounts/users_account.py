"""Adds up the attendance of all workers, and judges it by what the scenario asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rtcli.load.accounts.absences import AbsenceGroup, AbsenceGroups, AbsenceKey
from rtcli.load.accounts.attendance import RoleCount, WorkerAttendance
from rtcli.load.results.accounts import (
    DeliveriesAccount,
    PhaseAttendance,
    RoleAttendance,
    Shortfall,
    ShortfallKind,
    UsersAccount,
)
from rtcli.load.scenario.model import DEFAULT_ATTENDANCE, Scenario

_KINDS: Mapping[str, ShortfallKind] = {"absent": "absent", "interrupted": "interrupted", "missed": "missed"}


@dataclass(slots=True)
class RunAttendance:
    """The attendance of all workers."""

    roles: dict[str, RoleCount]
    groups: list[AbsenceGroup]


def add_up(workers: Iterable[WorkerAttendance]) -> RunAttendance:
    """Add up the workers' accounts.

    Users whose stay ended before their first request was answered were not absent, unless nobody of their
    role was ever let in.
    """
    roles: dict[str, RoleCount] = {}
    groups = AbsenceGroups()
    for worker in workers:
        for name, count in worker.roles.items():
            roles.setdefault(name, RoleCount()).add(count)
        for group in worker.groups:
            groups.merge(group)
    found = groups.all()
    for group in found:
        count = roles[group.key.role]
        if group.key.kind == "unresolved" and not count.present and not sum(count.present_us):
            group.key = group.key._replace(kind="absent")
            count.planned += group.count
    return RunAttendance(roles, [group for group in found if group.key.kind in _KINDS])


def users_account(scenario: Scenario, attendance: RunAttendance, base: int) -> UsersAccount:
    """Who should have been there, and who was. `base` is the start of the run (µs)."""
    names = [phase.name for phase in scenario.phases]
    roles = {
        name: _role(name, attendance, required_share(scenario, name), names)
        for name in scenario.roles
        if name in attendance.roles
    }
    return UsersAccount(
        roles=tuple(roles.values()),
        shortfalls=tuple(
            _shortfall(group, base, allowed=_is_allowed(group.key, roles[group.key.role], attendance.groups))
            for group in attendance.groups
            if group.key.kind != "missed"
        ),
        judged=any(role.required is not None for role in roles.values()),
    )


def required_share(scenario: Scenario, role: str) -> float | None:
    """The share of its planned time for which a role has to be present; None: it is not judged."""
    own = scenario.roles[role].attendance
    return (scenario.attendance if own is None else own) or None


def _role(
    name: str, attendance: RunAttendance, required: float | None, phases: Sequence[str]
) -> RoleAttendance:
    count = attendance.roles[name]
    own = sum(
        group.absent_us for group in attendance.groups if group.key.role == name and group.key.own
    )  # what the generator itself caused says nothing about the server
    return RoleAttendance(
        role=name,
        planned=count.planned,
        present=count.present,
        interrupted=count.interrupted,
        planned_s=_seconds(sum(count.planned_us) - own),
        present_s=_seconds(sum(count.present_us)),
        required=required,
        phases=tuple(
            PhaseAttendance(phase, _seconds(planned), _seconds(present))
            for phase, planned, present in zip(phases, count.planned_us, count.present_us, strict=False)
            if planned
        ),
    )


def _is_allowed(key: AbsenceKey, role: RoleAttendance, groups: Sequence[AbsenceGroup]) -> bool:
    """Whether the scenario allows an absence. With the default, nobody may be absent at the end."""
    if role.required is None:
        return True
    if role.is_short:
        return False
    if key.kind == "interrupted" or key.own:
        return True
    absent = sum(
        group.count for group in groups if group.key.role == role.role and group.key.kind == "absent"
    )
    return role.required < DEFAULT_ATTENDANCE and absent <= (1 - role.required) * role.planned


def _shortfall(group: AbsenceGroup, base: int, *, allowed: bool) -> Shortfall:
    key = group.key
    return Shortfall(
        kind=_KINDS[key.kind],
        role=key.role,
        code=key.code,
        cause=key.text,
        count=group.count,
        room=key.room,
        phase=key.phase,
        who=tuple(group.who),
        first=_seconds(group.first - base),
        last=_seconds(group.last - base),
        user_seconds=_seconds(group.absent_us),
        allowed=allowed,
        own=key.own,
    )


def deliveries_account(
    scenario: Scenario,
    attendance: RunAttendance,
    users: UsersAccount,
    base: int,
    *,
    expected: int,
    delivered: int,
) -> DeliveriesAccount:
    """What should have arrived by plan. `expected` and `delivered` are the audit's.

    Missed deliveries fail a run where lost ones do, except for roles whose attendance is as it should be.
    """
    loses = scenario.audit.delivery in {"at-most-once", "none"}
    short = {role.role for role in users.roles if role.is_short}
    short |= {item.role for item in users.shortfalls if item.kind == "absent" and not item.allowed}
    missed = [group for group in attendance.groups if group.key.kind == "missed"]
    total = sum(group.count for group in missed)
    return DeliveriesAccount(
        planned=expected + total,
        delivered=delivered,
        missed=total,
        shortfalls=tuple(
            replace(_shortfall(group, base, allowed=loses or group.key.role not in short), user_seconds=0.0)
            for group in missed
        ),
        judged=scenario.audit.delivery != "none",
    )


def _seconds(us: int) -> float:
    return round(us / 1e6, 6)
