"""What a scenario will need and cause, worked out before anything is started: `--dry-run`.

Rooms are found by rendering what each user would join and send to, with the scenario's own data and seed,
so skewed rooms count as they will be. The rest is arithmetic over the phases. It is an estimate: think
times are taken at their mean, and joins and leaves within a flow count as being in the room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from random import Random

from rtcli.load.core.feeders import Feeders, UserScope, already
from rtcli.load.scenario import steps
from rtcli.load.scenario.distributions import Distribution
from rtcli.load.scenario.expressions import MissingDataError, Template
from rtcli.load.scenario.model import Phase, Role, Scenario

BYTES_PER_USER = 48 * 1024
BYTES_PER_WORKER = 64 * 1024 * 1024
SPARE_DESCRIPTORS = 64
_ENVELOPE = 200  # bytes around a message's text
_SAMPLE = 2_000  # users of a role that are worked out; larger roles are scaled up
_PAUSE = 0.05  # seconds that a step which waits for the server is taken to need


@dataclass(frozen=True, slots=True)
class PhaseEstimate:
    """What happens in one phase at its busiest."""

    name: str
    users: float
    sent_per_s: float
    delivered_per_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run needs and causes. Connections are those at the busiest moment."""

    roles: Mapping[str, float]  # users at the busiest moment
    connections: int
    phases: tuple[PhaseEstimate, ...]
    sent: float  # messages, over the whole run
    delivered: float  # deliveries, fan-out multiplied
    received_bytes_per_s: float  # at the busiest moment
    largest_room: int
    memory: int
    descriptors: int
    duration: float

    @property
    def delivered_per_s(self) -> float:
        """Deliveries per second in the busiest phase."""
        return max((phase.delivered_per_s for phase in self.phases), default=0.0)


@dataclass(slots=True)
class _Crowd:
    """A role at full strength: how many, who is in which room, messages per second for each room."""

    role: Role
    size: float
    members: Counter[str]
    sends: dict[str, float]  # by timetable: a phase multiplies them
    paced: dict[str, float]  # at the pace of think times
    text_bytes: float


def estimate(scenario: Scenario, *, workers: int = 1) -> Estimate:
    """Work out the whole scenario."""
    crowds = [_crowd(role, scenario) for role in scenario.roles.values()]
    phases = [_phase(phase, crowds) for phase in scenario.phases]
    rows = [row for row, _ in phases]
    peak = max(rows, key=lambda row: row.users)
    members: Counter[str] = Counter()
    for crowd in crowds:
        members.update(crowd.members)
    connections = round(peak.users)
    text = max((crowd.text_bytes for crowd in crowds), default=0.0)
    return Estimate(
        roles={crowd.role.name: crowd.size for crowd in crowds},
        connections=connections,
        phases=tuple(rows),
        sent=sum(totals[0] for _, totals in phases),
        delivered=sum(totals[1] for _, totals in phases),
        received_bytes_per_s=max(row.delivered_per_s for row in rows) * (text + _ENVELOPE),
        largest_room=round(max(members.values(), default=0)),
        memory=connections * BYTES_PER_USER + workers * BYTES_PER_WORKER,
        descriptors=connections + SPARE_DESCRIPTORS * workers,
        duration=scenario.duration + scenario.audit.settle,
    )


def _phase(phase: Phase, crowds: list[_Crowd]) -> tuple[PhaseEstimate, tuple[float, float]]:
    """The phase at its busiest, and the messages and deliveries of all of it."""
    busy, total = _moment(phase, crowds, at=None), (0.0, 0.0)
    slices = 10
    for piece in range(slices):
        row = _moment(phase, crowds, at=(piece + 0.5) / slices)
        seconds = phase.duration / slices
        total = (total[0] + row.sent_per_s * seconds, total[1] + row.delivered_per_s * seconds)
    return busy, total


def _moment(phase: Phase, crowds: list[_Crowd], *, at: float | None) -> PhaseEstimate:
    users = sent = 0.0
    members: Counter[str] = Counter()
    sends: Counter[str] = Counter()
    for crowd in crowds:
        ramp = phase.ramp(crowd.role.name)
        share = max(ramp.start, ramp.end) if at is None else ramp.at(at)
        share = 1.0 if crowd.role.users is None else share  # arrivals come at their own rate
        users += crowd.size * share
        for room, count in crowd.members.items():
            members[room] += count * share  # type: ignore[assignment]
        for rates, factor in ((crowd.sends, phase.rates), (crowd.paced, 1.0)):
            for room, rate in rates.items():
                sends[room] += rate * share * factor * phase.publish  # type: ignore[assignment]
                sent += rate * share * factor * phase.publish
    delivered = sum(rate * members[room] for room, rate in sends.items())
    return PhaseEstimate(phase.name, users, sent, delivered)


def _crowd(role: Role, scenario: Scenario) -> _Crowd:
    size = float(role.users) if role.users is not None else _arrived(role, scenario)
    sample = max(1, min(_SAMPLE, round(size)))
    members: Counter[str] = Counter()
    sends: dict[str, float] = {}
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
            rng=already(rng),
        )
        for room in {_render(room, scope, rng) for room in _rooms(role.flow)}:
            members[room] += size / sample  # type: ignore[assignment]
        for step, rate in _rates(role.flow):
            room, rates = _render(step.room, scope, rng), sends if step.rate is not None else paced
            rates[room] = rates.get(room, 0.0) + rate * size / sample
            sizes.append(
                float(step.size or len(_render(step.text, scope, rng)) if step.text else step.size or 0)
            )
    return _Crowd(role, size, members, sends, paced, max(sizes, default=0.0))


def _arrived(role: Role, scenario: Scenario) -> float:
    """How many of a role with arrivals are there at the busiest moment: rate x stay, within the run."""
    rate = role.arrivals or 0.0
    stay = role.stay.mean if role.stay is not None else _length(role.flow)
    return rate * min(stay, scenario.duration)


def _render(template: Template, scope: UserScope, rng: Random) -> str:
    try:
        return template.render(scope, rng)
    except MissingDataError:  # what a user captures is only known in the run
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
    """How long steps take on average, one after another."""
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
    """Each send step with its messages per second."""
    for step in flow:
        if isinstance(step, steps.Send) and step.rate is not None:
            yield step, step.rate
        elif isinstance(step, steps.Loop):
            round_length = max(_length(step.steps), _PAUSE)
            for inner in steps.walk(step.steps):
                if isinstance(inner, steps.Send) and inner.rate is None and round_length < inf:
                    yield inner, (inner.count or 1) / round_length
            yield from _rates(tuple(s for s in step.steps if not isinstance(s, steps.Send) or s.rate))
