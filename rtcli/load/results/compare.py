"""Compares a run with an older one of the same scenario: which figures got worse.

Users, sends and deliveries come first: whoever is missing cannot be late. Only complete runs are compared,
since a run that ended early, or did not account for its users, says nothing about what it did not see.

A latency is worse when it is above the older one by more than a share *and* more than an amount: with a share
alone, noise of a millisecond would be a failure; an amount alone would hide that something fast became slow.
That is what the second pair of bounds is for: several times as much, above a smaller amount.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rtcli.load.metrics.formatting import format_value
from rtcli.load.metrics.names import Kind, Unit
from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import MetricSummary, RunResult, Verdict

FIGURES = (
    ("fanout_latency", "50"),
    ("fanout_latency", "95"),
    ("fanout_latency", "99"),
    ("fanout_complete", "95"),
    ("send_ack", "95"),
    ("join_ack", "95"),
    ("ws_connecting", "95"),
    ("sse_connecting", "95"),
    ("recovery_time", "95"),
)
_BY_CHANCE = "recovery_time"  # without data when nobody was lost, which is not worse
_WORSE_THAN_WORSE = (Verdict.BROKEN, Verdict.VIOLATION, Verdict.THRESHOLD)


class IncomparableError(ValueError):
    """The runs cannot be compared; the text says why."""


class IncompleteError(IncomparableError):
    """A run is not complete; the text says why. `run` is the one."""

    def __init__(self, text: str, run: RunResult) -> None:
        super().__init__(text)
        self.run = run


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The differences of latency that count as noise. Amounts in seconds.

    Worse is what is above the older figure by more than `share` and by more than `floor` (at p50) or
    `tail_floor` (at p95 and p99), and what is at least `factor` times as much and more by `factor_floor`.
    """

    share: float = 0.3
    floor: float = 0.005
    tail_floor: float = 0.01
    factor: float = 3.0
    factor_floor: float = 0.002

    def exceeds(self, one: float, other: float, percent: str) -> bool:
        """Whether the latency `one` is more than `other`, both at this percentile, by more than noise."""
        more = one - other
        floor = self.floor if percent == "50" else self.tail_floor
        by_share = one > other * (1 + self.share) and more > floor
        return by_share or (one >= other * self.factor and more > self.factor_floor)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs. None: that run does not have it."""

    name: str
    unit: Unit
    before: float | None
    after: float | None
    worse: bool
    better: bool

    @property
    def text(self) -> str:
        """`fanout_latency p(95): 3 ms, before 1 ms`."""
        before, after = (
            "no data" if value is None else format_value(value, self.unit)
            for value in (self.before, self.after)
        )
        return f"{self.name}: {after}, before {before}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures, and notes on what weakens the comparison: other machines, a baseline that was not good."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> list[str]:
        """One sentence for each figure that got worse."""
        return [f"worse than the baseline: {row.text}" for row in self.rows if row.worse]


def incompleteness(run: RunResult) -> str:
    """Why a run is not complete; empty when it is."""
    if run.verdict is Verdict.INTERRUPTED:
        return f"was interrupted{f' by {run.interrupted_by}' if run.interrupted_by else ''} before its end"
    if run.verdict is Verdict.BROKEN:
        return "ended with a failure of the load generator"
    if any(threshold.aborted for threshold in run.thresholds):
        return "was ended early by a threshold"
    if run.accounts is None or run.audit is None:
        return "has no account of users, sends and deliveries: an earlier version of rtcli made it"
    return ""


def compare(before: RunResult, after: RunResult, tolerance: Tolerance) -> Comparison:
    """Compare two runs of one scenario. Raises IncomparableError; IncompleteError of a part of a run."""
    for run, name in ((before, "the baseline"), (after, "the run in question")):
        why = incompleteness(run)
        if why:
            raise IncompleteError(f"{name} {why}", run)
    if before.digest != after.digest:
        raise IncomparableError(
            f"they ran different scenarios: {before.scenario} and {after.scenario} (digests differ)"
        )
    if before.protocol != after.protocol:
        raise IncomparableError(f"one spoke {before.protocol}, the other {after.protocol}")
    rows = _amounts(before, after, tolerance)
    rows += [_count(kind, before, after) for kind in KINDS]
    rows += [_latency(name, percent, before, after, tolerance) for name, percent in FIGURES]
    shown = [row for row in rows if row.before is not None or row.after is not None]
    return Comparison(tuple(shown), tuple(_differences(before, after)))


def against_baseline(result: RunResult, baseline: RunResult, tolerance: Tolerance) -> RunResult:
    """The result with a verdict that takes an older run into account.

    A run that is not complete keeps its verdict, and a note says that it was not compared. Raises
    IncomparableError.
    """
    try:
        found = compare(baseline, result, tolerance)
    except IncompleteError as error:
        return replace(result, notes=[*result.notes, f"not compared with the baseline: {error}"])
    notes = [*result.notes, *(f"not as in the baseline: {note}" for note in found.notes)]
    if not found.worse:
        return replace(result, notes=notes)
    if result.verdict in _WORSE_THAN_WORSE:
        return replace(result, reasons=[*result.reasons, *found.worse], notes=notes)
    return replace(result, verdict=Verdict.WORSE, reasons=[*found.worse, *result.reasons], notes=notes)


def _differences(before: RunResult, after: RunResult) -> list[str]:
    """What weakens the comparison: another machine or number of workers, a baseline that was not good."""
    notes = [
        f"{name}: {after.environment.get(name, '?')}, before {value}"
        for name, value in before.environment.items()
        if after.environment.get(name) != value
    ]
    if before.generator.workers != after.generator.workers:
        notes.append(f"workers: {after.generator.workers}, before {before.generator.workers}")
    if before.verdict not in {Verdict.PASSED, Verdict.WORSE}:
        notes.append(f"verdict of the baseline: {before.verdict.value}")
    return notes


def _amounts(before: RunResult, after: RunResult, tolerance: Tolerance) -> list[Row]:
    """Users, sends and deliveries: worse when there are fewer by more than the share."""
    return [
        Row(
            name,
            Unit.NUMBER,
            old,
            new,
            worse=new < old * (1 - tolerance.share),
            better=old < new * (1 - tolerance.share),
        )
        for (name, old), (_, new) in zip(_account_totals(before), _account_totals(after), strict=True)
        if old or new
    ]


def _account_totals(run: RunResult) -> list[tuple[str, float]]:
    if run.accounts is None:
        return []
    users, sends, deliveries = run.accounts.users, run.accounts.sends, run.accounts.deliveries
    return [
        ("users present", users.present),
        ("messages accepted", sends.accepted),
        ("deliveries", deliveries.delivered),
    ]


def _count(kind: str, before: RunResult, after: RunResult) -> Row:
    """Violations of one kind, and what is missing from an account and not allowed: one more is worse."""
    old, new = (float(run.violation_counts[kind]) for run in (before, after))
    return Row(KINDS[kind].words, Unit.NUMBER, old, new, new > old, new < old)


def _percentile(metric: MetricSummary | None, percent: str) -> float | None:
    if metric is None or metric.kind is not Kind.TREND or not metric.count:
        return None
    return metric.med if percent == "50" else metric.percentiles.get(percent)


def _latency(name: str, percent: str, before: RunResult, after: RunResult, tolerance: Tolerance) -> Row:
    old, new = (_percentile(run.metrics.get(name), percent) for run in (before, after))
    label = f"{name} p({percent})"
    if old is None or new is None:
        worse = old is not None and name != _BY_CHANCE
        return Row(label, Unit.SECONDS, old, new, worse, better=False)
    worse, better = tolerance.exceeds(new, old, percent), tolerance.exceeds(old, new, percent)
    return Row(label, Unit.SECONDS, old, new, worse, better)
