"""An estimate of the load that a scenario makes and of what it needs, before anything starts: `--dry-run`.

The rooms of each user are rendered with the scenario's own data and seed, so skewed rooms get the sizes that
they will have. The rest is arithmetic over the phases. It is an estimate: think times count with their mean,
and a user who joins and leaves a room within its flow counts as a member all the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from random import Random

from rtcli.load.core.feeders import Feeders, UserScope, always
from rtcli.load.metrics.run_store import estimated_bytes
from rtcli.load.scenario import steps
from rtcli.load.scenario.distributions import Distribution
from rtcli.load.scenario.expressions import MissingDataError, Template
from rtcli.load.scenario.model import Phase, Role, Scenario
from rtcli.units import format_bytes, format_number

BYTES_PER_USER = 48 * 1024
BYTES_PER_WORKER = 64 * 1024 * 1024
BYTES_OF_COORDINATOR = 56 * 1024 * 1024  # without the samples of the run
SPARE_DESCRIPTORS = 64
_ENVELOPE = 200  # bytes of a message besides its text
_SAMPLE = 2_000  # users of a role that are looked at; larger roles are scaled up
_PAUSE = 0.05  # seconds that a step is assumed to wait for the server


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """The load of one phase at its busiest time."""

    name: str
    users: float
    sent_per_s: float
    delivered_per_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The load of a run, and what the run needs. Sizes in bytes, `duration` in seconds."""

    roles: Mapping[str, float]  # users at the busiest time
    connections: int  # at the busiest time
    phases: tuple[PhaseEstimate, ...]
    sent: float  # messages, over the whole run
    delivered: float  # deliveries: each message times its receivers
    received_bytes_per_s: float  # at the busiest time
    largest_room: int
    memory: int  # of all processes
    coordinator: int  # of it, of the main process with the samples of the whole run
    descriptors: int
    duration: float

    @property
    def delivered_per_s(self) -> float:
        """Deliveries per second in the busiest phase."""
        return max((phase.delivered_per_s for phase in self.phases), default=0.0)


@dataclass(slots=True)
class _Population:
    """All users of a role: their number, the members of each room, and messages per second to each room."""

    role: Role
    size: float
    members: Counter[str]
    scheduled: dict[str, float]  # at a rate that phases multiply
    paced: dict[str, float]  # at the pace of think times
    text_bytes: float


def estimate(scenario: Scenario, *, workers: int = 1) -> Estimate:
    """Estimate the whole scenario, run with so many worker processes."""
    populations = [_population(role, scenario) for role in scenario.roles.values()]
    phases = [_phase(phase, populations) for phase in scenario.phases]
    rows = [row for row, _ in phases]
    peak = max(rows, key=lambda row: row.users)
    members: Counter[str] = Counter()
    for population in populations:
        members.update(population.members)
    connections = round(peak.users)
    text = max((population.text_bytes for population in populations), default=0.0)
    coordinator = BYTES_OF_COORDINATOR + estimated_bytes(
        scenario.duration,
        phases=len(scenario.phases),
        tag_sets=len(scenario.roles) * (1 + len(scenario.measured_rooms)),
    )
    return Estimate(
        roles={population.role.name: population.size for population in populations},
        connections=connections,
        phases=tuple(rows),
        sent=sum(totals[0] for _, totals in phases),
        delivered=sum(totals[1] for _, totals in phases),
        received_bytes_per_s=max(row.delivered_per_s for row in rows) * (text + _ENVELOPE),
        largest_room=round(max(members.values(), default=0)),
        memory=connections * BYTES_PER_USER + workers * BYTES_PER_WORKER + coordinator,
        coordinator=coordinator,
        descriptors=connections + SPARE_DESCRIPTORS * workers,
        duration=scenario.duration + scenario.audit.settle,
    )


def _phase(phase: Phase, populations: list[_Population]) -> tuple[PhaseEstimate, tuple[float, float]]:
    """The phase at its busiest time, and the messages and deliveries of the whole phase."""
    busy, total = _load_at(phase, populations, at=None), (0.0, 0.0)
    slices = 10
    for piece in range(slices):
        row = _load_at(phase, populations, at=(piece + 0.5) / slices)
        seconds = phase.duration / slices
        total = (total[0] + row.sent_per_s * seconds, total[1] + row.delivered_per_s * seconds)
    return busy, total


def _load_at(phase: Phase, populations: list[_Population], *, at: float | None) -> PhaseEstimate:
    """The load at a point of a phase, from 0 to 1; None: at its busiest time."""
    users = sent = 0.0
    members: Counter[str] = Counter()
    sends: Counter[str] = Counter()
    for population in populations:
        ramp = phase.ramp(population.role.name)
        share = max(ramp.start, ramp.end) if at is None else ramp.at(at)
        share = 1.0 if population.role.users is None else share  # arrivals come at their own rate
        users += population.size * share
        for room, count in population.members.items():
            members[room] += count * share  # type: ignore[assignment] # a Counter of shares
        for rates, factor in ((population.scheduled, phase.rates), (population.paced, 1.0)):
            for room, rate in rates.items():
                sends[room] += rate * share * factor * phase.publish  # type: ignore[assignment] # a Counter of shares
                sent += rate * share * factor * phase.publish
    delivered = sum(rate * members[room] for room, rate in sends.items())
    return PhaseEstimate(phase.name, users, sent, delivered)


def _population(role: Role, scenario: Scenario) -> _Population:
    size = float(role.users) if role.users is not None else _arrived(role, scenario)
    sample = max(1, min(_SAMPLE, round(size)))
    members: Counter[str] = Counter()
    scheduled: dict[str, float] = {}
    paced: dict[str, float] = {}
    sizes: list[float] = []
    feeders = Feeders(scenario)
    for index in range(sample):
        rng = Random(f"{scenario.seed}/{role.name}/{index}")  # noqa: S311 - repeatable on purpose
        scope = UserScope(
            feeders,
            role=role.name,
            index=index,
            number=index,
            user_id=f"u{index}",
            name=f"u{index}",
            run="run",
            rng=always(rng),
        )
        for room in {_render(room, scope, rng) for room in _rooms(role.flow)}:
            members[room] += size / sample  # type: ignore[assignment] # a Counter of shares
        for step, rate in _rates(role.flow):
            room, rates = _render(step.room, scope, rng), scheduled if step.rate is not None else paced
            rates[room] = rates.get(room, 0.0) + rate * size / sample
            sizes.append(
                float(step.size or len(_render(step.text, scope, rng)) if step.text else step.size or 0)
            )
    return _Population(role, size, members, scheduled, paced, max(sizes, default=0.0))


def _arrived(role: Role, scenario: Scenario) -> float:
    """Users of a role with arrivals at the busiest time: rate times length of stay, within the run."""
    rate = role.arrivals or 0.0
    stay = role.stay.mean if role.stay is not None else _length(role.flow)
    return rate * min(stay, scenario.duration)


def _render(template: Template, scope: UserScope, rng: Random) -> str:
    try:
        return template.render(scope, rng)
    except MissingDataError:  # values that users capture are known only in the run
        return str(template)


def _rooms(flow: tuple[steps.Step, ...]) -> Iterator[Template]:
    for step in steps.walk(flow):
        if isinstance(step, steps.Join):
            yield step.room
        elif isinstance(step, steps.Connect):
            yield from step.rooms


def _mean(time: Distribution | None) -> float:
    return inf if time is None else time.mean


def _length(flow: tuple[steps.Step, ...]) -> float:
    """The mean time that steps take one after another, in seconds."""
    return sum(_step_length(step) for step in flow)


def _step_length(step: steps.Step) -> float:
    if isinstance(step, steps.Think | steps.Hold):
        return _mean(step.time)
    if isinstance(step, steps.Loop):
        return step.times * _length(step.steps) if step.times is not None else _mean(step.time)
    if isinstance(step, steps.Choose):
        total = sum(choice.weight for choice in step.choices)
        return sum(choice.weight / total * _length(choice.steps) for choice in step.choices)
    if isinstance(step, steps.BackoffStep):
        return step.backoff.base / 2 if step.backoff.jitter else step.backoff.base
    if isinstance(step, steps.Send | steps.Typing) and step.rate is not None:
        return step.count / step.rate if step.count is not None else _mean(step.time)
    return 0.0 if isinstance(step, steps.Log | steps.Signal) else _PAUSE


def _rates(flow: tuple[steps.Step, ...]) -> Iterator[tuple[steps.Send, float]]:
    """Each send step, with its messages per second."""
    for step in flow:
        if isinstance(step, steps.Send) and step.rate is not None:
            yield step, step.rate if step.count is None else min(step.rate, step.count)
        elif isinstance(step, steps.Loop):
            round_length = max(_length(step.steps), _PAUSE)
            for inner in steps.walk(step.steps):
                if isinstance(inner, steps.Send) and inner.rate is None and round_length < inf:
                    yield inner, (inner.count or 1) / round_length
            yield from _rates(tuple(s for s in step.steps if not isinstance(s, steps.Send) or s.rate))


def describe_estimate(need: Estimate, *, workers: int = 1) -> list[str]:
    """The estimate as lines of text."""
    needs = (
        f"{format_bytes(need.memory)} of memory, {format_bytes(need.coordinator)} of it in the main process "
        f"however long the run is, {format_number(need.descriptors)} file descriptors, "
        f"{format_number(need.connections)} local ports; {workers} worker{'s' if workers > 1 else ''}"
    )
    rows = [
        ("Users", ", ".join(f"{format_number(round(count))} {name}" for name, count in need.roles.items())),
        ("Connections", f"{format_number(need.connections)} at the busiest moment"),
        ("Length", f"{need.duration:g} s, with the wait for late deliveries"),
        ("Sent", f"about {format_number(round(need.sent))} messages"),
        (
            "Delivered",
            f"about {format_number(round(need.delivered))}, the largest room has {need.largest_room} members",
        ),
        ("Received", f"about {format_bytes(need.received_bytes_per_s)}/s at the busiest moment"),
        ("Needs", needs),
    ]
    lines = [f"{label:<13}{text}" for label, text in rows]
    lines.append(f"{'Phase':<13}{'users':>8}{'sent/s':>12}{'delivered/s':>14}")
    lines += [
        f"  {phase.name:<11}{phase.users:>8.0f}{phase.sent_per_s:>12.1f}{phase.delivered_per_s:>14.0f}"
        for phase in need.phases
    ]
    return lines
