"""Thresholds on metrics, in k6's grammar with units.

    p(99) < 250ms     avg <= 1.5s     count == 0     rate >= 99.9%     rate > 100/s     value < 5000

They are evaluated against a `MetricView` at the end of a run and, if they abort it, meanwhile. A threshold on
a metric without samples fails unless it says `no_data: pass`, while k6's passes. One that fails only because
of windows in which the generator was the bottleneck is inconclusive.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from rtcli.load.metrics.formatting import format_value
from rtcli.load.metrics.names import METRICS, Kind, Unit
from rtcli.load.results.model import ThresholdResult
from rtcli.load.scenario.model import Scenario, ThresholdSpec


class HistogramView(Protocol):
    """A distribution of samples, in the metric's base unit."""

    @property
    def count(self) -> int:
        """The number of samples."""
        ...

    @property
    def mean(self) -> float:
        """The average; 0 without any."""
        ...

    @property
    def minimum(self) -> float:
        """The lowest sample; 0 without any."""
        ...

    @property
    def maximum(self) -> float:
        """The highest sample; 0 without any."""
        ...

    def percentile(self, percent: float) -> float:
        """The value at or below which `percent` (0 to 100) of the samples lie."""
        ...


class MetricView(Protocol):
    """The samples of a run. A sample is selected when it has all the `tags`. None: there are no samples."""

    def trend(self, metric: str, tags: Mapping[str, str]) -> HistogramView | None:
        """The selected samples of a trend, as one distribution."""
        ...

    def count(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The sum of a counter."""
        ...

    def rate(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The share (0 to 1) of a rate metric's samples that were good."""
        ...

    def value(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The last value of a gauge."""
        ...


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def measure(spec: ThresholdSpec, view: MetricView, seconds: float) -> float | None:
    """The value that the threshold is about, over `seconds` of run; None without data."""
    value = _measure(spec, view, seconds)
    return None if value is None or math.isnan(value) else value


def _measure(spec: ThresholdSpec, view: MetricView, seconds: float) -> float | None:
    metric = METRICS[spec.metric]
    if metric.kind is Kind.RATE:
        return view.rate(spec.metric, spec.tags)
    if metric.kind is Kind.GAUGE:
        return view.value(spec.metric, spec.tags)
    if metric.kind is Kind.COUNTER:
        count = view.count(spec.metric, spec.tags)
        if count is None:
            count = 0.0 if metric.always else None
        if count is None or spec.aggregation == "count":
            return count
        return count / seconds if seconds > 0 else None
    return _measure_trend(spec, view.trend(spec.metric, spec.tags))


def _measure_trend(spec: ThresholdSpec, histogram: HistogramView | None) -> float | None:
    if histogram is None or histogram.count == 0:
        return 0.0 if spec.aggregation == "count" and histogram is not None else None
    if spec.aggregation == "p":
        return histogram.percentile(spec.percentile or 0.0)
    values = {
        "avg": lambda: histogram.mean,
        "min": lambda: histogram.minimum,
        "max": lambda: histogram.maximum,
        "med": lambda: histogram.percentile(50),
        "count": lambda: float(histogram.count),
    }
    return values[spec.aggregation]()


def holds(spec: ThresholdSpec, value: float | None) -> bool:
    """Whether `value` satisfies the threshold. None (no data) does only if the threshold says so."""
    if value is None:
        return spec.no_data == "pass"
    return _COMPARE[spec.operator](value, spec.bound)


def evaluate_one(
    spec: ThresholdSpec,
    view: MetricView,
    seconds: float,
    *,
    clean: MetricView | None = None,
    aborted: bool = False,
) -> ThresholdResult:
    """Judge one threshold, over `seconds` of run.

    `clean` is the view without the windows in which the generator was the bottleneck; None: there were none.
    """
    metric = METRICS[spec.metric]
    unit = Unit.NUMBER if spec.aggregation == "count" and metric.kind is Kind.TREND else metric.unit
    value = measure(spec, view, seconds)
    outcome, reason = "passed", ""
    if not holds(spec, value):
        outcome, reason = "failed", _why(value, unit)
        if clean is not None and value is not None and metric.kind is Kind.TREND:
            rest = measure(spec, clean, seconds)
            if rest is None or holds(spec, rest):
                outcome, reason = "inconclusive", _why_unsure(reason, rest, unit)
    location = spec.location
    return ThresholdResult(
        selector=spec.selector,
        text=spec.text,
        outcome=outcome,  # type: ignore[arg-type] # one of three words
        value=value,
        bound=spec.bound,
        unit=unit,
        reason=reason,
        strict=spec.strict,
        aborted=aborted,
        line=location.line if location else 0,
        column=location.column if location else 0,
    )


def _why(value: float | None, unit: Unit) -> str:
    if value is None:
        return "there is no data"
    return f"it was {format_value(value, unit)}"


def _why_unsure(reason: str, rest: float | None, unit: Unit) -> str:
    without = (
        "and there is no other data"
        if rest is None
        else f"and without those windows {format_value(rest, unit)}"
    )
    return f"{reason} in windows in which the load generator was the bottleneck, {without}"


def evaluate(
    scenario: Scenario,
    view: MetricView,
    elapsed: float,
    *,
    clean: Callable[[ThresholdSpec], MetricView | None] = lambda _spec: None,
    aborted_by: ThresholdSpec | None = None,
) -> list[ThresholdResult]:
    """Judge all thresholds of a scenario, in the order of the file, after `elapsed` seconds of run.

    `clean` gives the view without the windows in which the generator was the bottleneck for a threshold.
    """
    lengths = {phase.name: phase.duration for phase in scenario.phases}
    return [
        evaluate_one(
            spec,
            view,
            min(elapsed, lengths.get(spec.tags.get("phase", ""), elapsed)),
            clean=clean(spec),
            aborted=spec is aborted_by,
        )
        for spec in scenario.thresholds
    ]


def to_abort(specs: Iterable[ThresholdSpec], view: MetricView, elapsed: float) -> ThresholdSpec | None:
    """The first threshold with `abort` that fails now, or None. One that has no data yet does not abort."""
    for spec in specs:
        if spec.abort and elapsed >= spec.after:
            value = measure(spec, view, elapsed)
            if value is not None and not holds(spec, value):
                return spec
    return None
