"""The users of a worker that has ended before its time, and their messages: nobody knows more of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice, takewhile

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.attendance import Attendance, WorkerAttendance
from rtcli.load.accounts.sends import SendCounts, Sends, WorkerSends
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.not_reached import UnstartedUser
from rtcli.load.core.schedule import Stay, arrival_end, arrival_times, phase_bounds, seeded_rng, stays
from rtcli.load.results.accounts import GENERATOR, GENERATOR_BUG
from rtcli.load.scenario.model import Role, Scenario
from rtcli.load.scenario.steps import Send, walk

_KILLED = f"{GENERATOR}killed"
_MAX_PLANNED = 200_000  # messages that are looked at, within some seconds


def attendance_of_lost(
    scenario: Scenario, failure: OwnFailure, workers: int, end: float, base: int
) -> WorkerAttendance:
    """The attendance of a worker that is lost: those of its users who began before `end` (s) are absent.

    They are planned, and absent, from when their part began. `base` is the start of the run (µs).
    """

    def at(seconds: float) -> int:
        return base + round(seconds * 1e6)

    attendance = Attendance(base, _phases(scenario, base), keep=0)
    cause = _cause(failure)
    for role in scenario.roles.values():
        for stay in _stays(scenario, role, failure.worker, workers, end):
            name = f"{role.name} {stay.number + 1}"
            attendance.never_started(name, role.name, at(stay.start), at(min(stay.end, end)), cause)
    return attendance.export()


def sends_of_lost(
    scenario: Scenario,
    failure: OwnFailure,
    workers: int,
    end: float,
    base: int,
    *,
    accepted: Mapping[str, Mapping[str, int]],
) -> WorkerSends:
    """The sends of a worker that is lost: what its users should have sent before `end` (s), by plan.

    `accepted` are those, by role and phase, of which it has told. Of the others nobody knows.
    """
    phases = _phases(scenario, base)
    sends = Sends(base, phases, phase_of_bin=lambda _key: "", keep=0, max_planned=_MAX_PLANNED)
    cause = _cause(failure)
    for role in scenario.roles.values():
        if not any(isinstance(step, Send) for step in walk(role.flow)):
            continue
        for stay in _stays(scenario, role, failure.worker, workers, end):
            user = UnstartedUser(scenario, role, f"{role.name} {stay.number + 1}", stay.start, stay.end)
            for _ in user.count(sends, base, min(stay.end, end), cause):
                pass
    found = sends.export()
    known = {name: Counter(phases) for name, phases in accepted.items()}
    for group in found.groups:
        left = known.get(group.key.role, Counter())
        taken = min(group.count, left[group.key.phase])
        group.count -= taken
        left[group.key.phase] -= taken
    roles = {name: SendCounts(accepted=dict(phases)) for name, phases in accepted.items()}
    return WorkerSends(roles, [group for group in found.groups if group.count])


def _phases(scenario: Scenario, base: int) -> list[tuple[str, int]]:
    """The name and the end (µs) of each phase."""
    bounds = phase_bounds(scenario.phases)
    return [(phase.name, base + round(until * 1e6)) for phase, _, until in bounds]


def _cause(failure: OwnFailure) -> Cause:
    return Cause(GENERATOR_BUG if failure.is_bug else _KILLED, failure.text, own=True)


def _stays(scenario: Scenario, role: Role, worker: int, workers: int, end: float) -> Iterator[Stay]:
    """The stays of the users of a role whom this worker would have run, as far as they began until then."""
    if role.users is not None:
        for stay in stays(role, scenario.phases):
            if stay.start < end and stay.number % workers == worker:
                yield stay
        return
    times = arrival_times(role, scenario.phases, seeded_rng(scenario.seed, role.name, "arrivals"))
    arrived = takewhile(lambda item: item[1] < end, enumerate(times))
    for number, start in islice(arrived, worker, None, workers):
        yield Stay(number, start, arrival_end(scenario, role, number, start))
