"""The metrics of a whole run, summed up for its result."""

from __future__ import annotations

from collections.abc import Mapping

from rtcli.load.metrics.histogram import Histogram
from rtcli.load.metrics.names import METRICS, Kind
from rtcli.load.metrics.run_store import RunStore
from rtcli.load.results.model import MetricSummary
from rtcli.load.run.coordinator import RunState

PERCENTILES = (90.0, 95.0, 99.0, 99.9)
_SPECTRUM = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0)
_BY_PHASE = ("fanout_latency", "fanout_service")


def metric_summaries(state: RunState, elapsed: float) -> dict[str, MetricSummary]:
    """All metrics of the run, and those that its thresholds and phases ask for, by selector."""
    store = state.store
    state.store.gauge("vus", state.peak_users)
    wanted: dict[str, tuple[str, Mapping[str, str]]] = {name: (name, {}) for name in METRICS}
    for spec in state.spec.scenario.thresholds:
        wanted[spec.selector] = (spec.metric, spec.tags)
    for name in _BY_PHASE:
        for phase in state.spec.scenario.phases:
            wanted[f"{name}{{phase:{phase.name}}}"] = (name, {"phase": phase.name})
    summaries = {
        selector: summary
        for selector, (name, tags) in wanted.items()
        if (summary := summarize(store, name, tags, elapsed)) is not None
    }
    for tags in store.tag_sets("close") + store.tag_sets("errors") + store.tag_sets("connect_failed"):
        code = dict(tags).get("code")
        for name in ("close", "errors", "connect_failed"):
            summary = summarize(store, name, {"code": code}, elapsed) if code else None
            if summary is not None and summary.count:
                summaries[f"{name}{{code:{code}}}"] = summary
    return summaries


def summarize(store: RunStore, name: str, tags: Mapping[str, str], elapsed: float) -> MetricSummary | None:
    """One metric over the whole run; None without data."""
    metric = METRICS[name]
    if metric.kind is Kind.TREND:
        histogram = store.trend(name, tags)
        return None if histogram is None else _trend(histogram, metric.unit)
    if metric.kind is Kind.RATE:
        rate = store.rate(name, tags)
        return None if rate is None else MetricSummary(metric.kind, metric.unit, rate=rate)
    if metric.kind is Kind.GAUGE:
        value = store.value(name, tags)
        return None if value is None else MetricSummary(metric.kind, metric.unit, value=value)
    count = store.count(name, tags)
    if count is None and not metric.always:
        return None
    total = count or 0.0
    return MetricSummary(metric.kind, metric.unit, total, rate=total / elapsed if elapsed > 0 else None)


def _trend(histogram: Histogram, unit: object) -> MetricSummary:
    return MetricSummary(
        Kind.TREND,
        unit,  # type: ignore[arg-type] # a Unit
        histogram.count,
        avg=histogram.mean,
        min=histogram.minimum,
        med=histogram.percentile(50),
        max=histogram.maximum,
        percentiles={f"{percent:g}": histogram.percentile(percent) for percent in PERCENTILES},
    )


def spectra(store: RunStore) -> dict[str, list[tuple[float, float]]]:
    """The percentile spectra of latencies, for plots."""
    found = {}
    for name in (*_BY_PHASE, "fanout_complete", "schedule_lag"):
        histogram = store.trend(name, {})
        if histogram is not None:
            found[name] = histogram.spectrum(_SPECTRUM)
    return found
