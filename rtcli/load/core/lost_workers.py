"""The users of a worker that has ended before its time: nobody can tell what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.attendance import Attendance, WorkerAttendance
from rtcli.load.core.failures import OwnFailure
from rtcli.load.core.schedule import Stay, arrival_end, arrival_times, phase_bounds, seeded_rng, stays
from rtcli.load.results.accounts import GENERATOR, GENERATOR_BUG
from rtcli.load.scenario.model import Role, Scenario

_KILLED = f"{GENERATOR}killed"


def attendance_of_lost(
    scenario: Scenario, failure: OwnFailure, workers: int, end: float, base: int
) -> WorkerAttendance:
    """The attendance of a worker that is lost: those of its users who began before `end` (s) are absent.

    They are planned, and absent, from when their part began. `base` is the start of the run (µs).
    """

    def at(seconds: float) -> int:
        return base + round(seconds * 1e6)

    phases = [(phase.name, at(until)) for phase, _, until in phase_bounds(scenario.phases)]
    attendance = Attendance(base, phases, keep=0)
    cause = Cause(GENERATOR_BUG if failure.is_bug else _KILLED, failure.text, own=True)
    for role in scenario.roles.values():
        for stay in _stays(scenario, role, failure.worker, workers, end):
            name = f"{role.name} {stay.number + 1}"
            attendance.never_started(name, role.name, at(stay.start), at(min(stay.end, end)), cause)
    return attendance.export()


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
