"""The users of a worker that has ended before its time: nobody can tell what became of them."""

from __future__ import annotations

from itertools import islice, takewhile

from rtcli.load.accounts.absences import AbsenceGroup, AbsenceKey
from rtcli.load.accounts.attendance import RoleCount, WorkerAttendance
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.schedule import arrival_times, seeded_rng, stays
from rtcli.load.results.accounts import GENERATOR, GENERATOR_BUG
from rtcli.load.scenario.model import Role, Scenario

_KILLED = f"{GENERATOR}killed"
_NAMED = 5


def attendance_of_lost(scenario: Scenario, failure: OwnFailure, workers: int, end: float) -> WorkerAttendance:
    """The attendance of a worker that is lost: those of its users who began before `end` (s) are absent."""
    found = WorkerAttendance()
    for role in scenario.roles.values():
        numbers = _users(scenario, role, failure.worker, workers, end)
        if numbers:
            nothing = [0] * len(scenario.phases)
            code = GENERATOR_BUG if failure.is_bug else _KILLED
            key = AbsenceKey("absent", role.name, code, failure.text, own=True)
            names = [f"{role.name} {number + 1}" for number in numbers[:_NAMED]]
            found.roles[role.name] = RoleCount(len(numbers), planned_us=nothing, present_us=list(nothing))
            found.groups.append(AbsenceGroup(key, len(numbers), names))
    return found


def _users(scenario: Scenario, role: Role, worker: int, workers: int, end: float) -> list[int]:
    """The numbers of the users of a role whom this worker would have run until then."""
    if role.users is not None:
        begun = {stay.number for stay in stays(role, scenario.phases) if stay.start < end}
        return sorted(number for number in begun if number % workers == worker)
    times = arrival_times(role, scenario.phases, seeded_rng(scenario.seed, role.name, "arrivals"))
    arrived = takewhile(lambda item: item[1] < end, enumerate(times))
    return [number for number, _ in islice(arrived, worker, None, workers)]
