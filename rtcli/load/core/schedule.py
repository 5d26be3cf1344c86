"""When users come and when messages are due: the seed fixes it before the run, whatever the server does.

All times are seconds since the start of the run. A rate that changes with the phases is turned into times by
its integral: event number k is due when the expected number of events reaches k (evenly spaced) or the k-th
point of a unit Poisson process. So a phase with four times the rate has four times the events, and nothing
that happens during the run shifts any of them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal

from rtcli.load.scenario.model import Phase, Role, Scenario

Spread = Literal["even", "poisson"]


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval in which a rate changes linearly from `low` (at `start`) to `high` (at `end`)."""

    start: float
    end: float
    low: float
    high: float

    @property
    def area(self) -> float:
        """Expected number of events in it."""
        return (self.end - self.start) * (self.low + self.high) / 2

    def solve(self, area: float) -> float:
        """The time at which `area` events have been expected since the start of the piece."""
        length, slope = self.end - self.start, self.high - self.low
        if not area:
            return self.start
        if not slope:
            return self.start + area / self.low
        # area = low·x + slope·x²/(2·length), solved for x in the form that does not cancel out.
        root = math.sqrt(self.low * self.low + 2 * slope * area / length)
        return self.start + min(2 * area / (self.low + root), length)


class Profile:
    """A rate over the time of the run, and its integral."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = [piece for piece in pieces if piece.area > 0]
        self._areas = [0.0]
        for piece in self._pieces:
            self._areas.append(self._areas[-1] + piece.area)

    @property
    def total(self) -> float:
        """Expected number of events in the whole run."""
        return self._areas[-1]

    def time_at(self, area: float) -> float | None:
        """The time at which the integral reaches `area`; None if it never does."""
        if area >= self.total:
            return None
        index = bisect_right(self._areas, area) - 1
        return self._pieces[index].solve(area - self._areas[index])

    def times(self, rng: Random, spread: Spread) -> Iterator[float]:
        """The times of all events, rising. Even ones start at a random fraction of the first interval."""
        area = rng.random() if spread == "even" else rng.expovariate(1.0)
        while (time := self.time_at(area)) is not None:
            yield time
            area += 1.0 if spread == "even" else rng.expovariate(1.0)


def phase_bounds(phases: Sequence[Phase]) -> list[tuple[Phase, float, float]]:
    """Each phase with its start and end."""
    bounds, begin = [], 0.0
    for phase in phases:
        bounds.append((phase, begin, begin + phase.duration))
        begin += phase.duration
    return bounds


def send_profile(rate: float, phases: Sequence[Phase]) -> Profile:
    """The rate of messages: `rate` times each phase's `rates`, and 0 in phases without publishing."""
    factors = [
        (start, end, rate * phase.rates if phase.publish else 0.0)
        for phase, start, end in phase_bounds(phases)
    ]
    return Profile([Piece(start, end, factor, factor) for start, end, factor in factors])


def arrival_times(role: Role, phases: Sequence[Phase], rng: Random) -> Iterator[float]:
    """When the users of a role with `arrivals` come; the phases' levels of users scale the rate."""
    rate = role.arrivals or 0.0
    pieces = [
        Piece(start, end, rate * phase.ramp(role.name).start, rate * phase.ramp(role.name).end)
        for phase, start, end in phase_bounds(phases)
    ]
    return Profile(pieces).times(rng, role.spread)


@dataclass(frozen=True, slots=True)
class Stay:
    """From when to when a user is there."""

    number: int  # of the user in its role, from 0
    start: float
    end: float


def stays(role: Role, phases: Sequence[Phase]) -> list[Stay]:
    """The stays of a role's `users`, as the phases' levels rise and fall.

    User number n is there while the level is above n + 1/2 users: the first to come is the last to go.
    Sorted by start.
    """
    users = role.users or 0
    found: list[Stay] = []
    for number in range(users):
        found += [Stay(number, start, end) for start, end in _above((number + 0.5) / users, role, phases)]
    return sorted(found, key=lambda stay: (stay.start, stay.number))


def arrival_end(scenario: Scenario, role: Role, number: int, start: float) -> float:
    """When the part of a user who arrives at `start` ends: with its stay, or with the run."""
    if role.stay is None:
        return scenario.duration
    rng = seeded_rng(scenario.seed, role.name, number, "stay")
    return min(scenario.duration, start + role.stay.sample(rng))


def _above(level: float, role: Role, phases: Sequence[Phase]) -> list[tuple[float, float]]:
    """The intervals in which the role's share is above `level`."""
    changes: list[float] = []  # alternately: rises above, falls below
    for phase, start, end in phase_bounds(phases):
        ramp = phase.ramp(role.name)
        inside = len(changes) % 2 == 1
        if (ramp.start > level) is not inside:
            changes.append(start)
            inside = not inside
        if (ramp.end > level) is not inside:
            changes.append(start + (end - start) * (level - ramp.start) / (ramp.end - ramp.start))
    if len(changes) % 2:
        changes.append(sum(phase.duration for phase in phases))
    return [(start, end) for start, end in list(pairwise(changes))[::2] if end > start]


def seeded_rng(seed: int, *parts: object) -> Random:
    """A random generator of its own for each purpose, so that no draw shifts another."""
    return Random(f"{seed}/{'/'.join(map(str, parts))}")  # noqa: S311 - repeatable on purpose
