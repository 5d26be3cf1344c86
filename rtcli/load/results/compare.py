"""Compares a run with an older one of the same scenario: which figures got worse.

A figure is worse when it is above the older one by more than a share *and* more than an amount: with a share
alone, noise of a millisecond would be a failure; an amount alone would hide that something fast became slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rtcli.load.metrics.formatting import format_value
from rtcli.load.metrics.names import Kind, Unit
from rtcli.load.results.kinds import VIOLATIONS
from rtcli.load.results.model import MetricSummary, RunResult
from rtcli.load.results.verdict import decide

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


class IncomparableError(ValueError):
    """The runs cannot be compared; the text says why."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The difference that counts as equal: a share of the older figure, and seconds."""

    share: float = 0.3
    seconds: float = 0.02


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
    """All figures, and notes on differences between the machines, which weaken the comparison."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> list[str]:
        """One sentence for each figure that got worse."""
        return [f"worse than the baseline: {row.text}" for row in self.rows if row.worse]


def compare(before: RunResult, after: RunResult, tolerance: Tolerance) -> Comparison:
    """Compare two runs of one scenario. Raises IncomparableError."""
    if before.digest != after.digest:
        raise IncomparableError(
            f"they ran different scenarios: {before.scenario} and {after.scenario} (digests differ)"
        )
    if before.protocol != after.protocol:
        raise IncomparableError(f"one spoke {before.protocol}, the other {after.protocol}")
    rows = [_latency(name, percent, before, after, tolerance) for name, percent in FIGURES]
    rows += [_count(kind, before, after) for kind in VIOLATIONS]
    notes = [
        f"{name}: {after.environment.get(name, '?')}, before {value}"
        for name, value in before.environment.items()
        if after.environment.get(name) != value
    ]
    if before.generator.workers != after.generator.workers:
        notes.append(f"workers: {after.generator.workers}, before {before.generator.workers}")
    shown = [row for row in rows if row.before is not None or row.after is not None]
    return Comparison(tuple(shown), tuple(notes))


def against_baseline(result: RunResult, baseline: RunResult, tolerance: Tolerance) -> RunResult:
    """The result with a verdict that takes an older run into account. Raises IncomparableError."""
    found = compare(baseline, result, tolerance)
    verdict, reasons = decide(
        result.audit,
        result.thresholds,
        accounts=result.accounts,
        interrupted_by=result.interrupted_by,
        worse=found.worse,
    )
    notes = [*result.notes, *(f"not as in the baseline: {note}" for note in found.notes)]
    return replace(result, verdict=verdict, reasons=reasons, notes=notes)


def _percentile(metric: MetricSummary | None, percent: str) -> float | None:
    if metric is None or metric.kind is not Kind.TREND or not metric.count:
        return None
    return metric.med if percent == "50" else metric.percentiles.get(percent)


def _latency(name: str, percent: str, before: RunResult, after: RunResult, tolerance: Tolerance) -> Row:
    old, new = (_percentile(run.metrics.get(name), percent) for run in (before, after))
    label = f"{name} p({percent})"
    if old is None or new is None:
        return Row(label, Unit.SECONDS, old, new, worse=old is not None, better=False)
    return Row(label, Unit.SECONDS, old, new, _exceeds(new, old, tolerance), _exceeds(old, new, tolerance))


def _exceeds(one: float, other: float, tolerance: Tolerance) -> bool:
    return one > other * (1 + tolerance.share) and one > other + tolerance.seconds


def _count(kind: str, before: RunResult, after: RunResult) -> Row:
    old, new = (float(run.audit.counts.get(kind, 0)) if run.audit else None for run in (before, after))
    if old is None or new is None:
        return Row(kind, Unit.NUMBER, old, new, worse=old is not None, better=False)
    return Row(kind, Unit.NUMBER, old, new, new > old, new < old)
