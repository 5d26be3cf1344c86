"""A run's metrics in Prometheus' text format 0.0.4, for a push gateway or a textfile collector."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rtcli.load.metrics.names import METRICS, Kind, Unit
from rtcli.load.results.model import MetricSummary, RunResult

_SELECTOR = re.compile(r"(\w+)(?:\{(.*)\})?")
_SUFFIX = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes", Unit.RATIO: "_ratio", Unit.NUMBER: ""}
_QUANTILES = (("0.5", "50"), ("0.9", "90"), ("0.95", "95"), ("0.99", "99"), ("0.999", "99.9"))


def _label(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{quoted}"'


def render(result: RunResult) -> str:
    """All metrics, each with its help and type."""
    by_name: dict[str, list[tuple[list[str], MetricSummary]]] = {}
    for selector, summary in result.metrics.items():
        match = _SELECTOR.fullmatch(selector)
        if match is not None and match[1] in METRICS:
            by_name.setdefault(match[1], []).append((_labels(result, match[2] or ""), summary))
    lines = [line for name, rows in by_name.items() for line in _metric(name, rows)]
    labels = ",".join([*_labels(result, ""), _label("verdict", result.verdict.value)])
    lines += [
        "# HELP rtcli_loadtest_passed Whether the run was good enough.",
        "# TYPE rtcli_loadtest_passed gauge",
        f"rtcli_loadtest_passed{{{labels}}} {int(result.exit_code == 0)}",
    ]
    return "\n".join(lines) + "\n"


def _labels(result: RunResult, tags: str) -> list[str]:
    pairs = [pair.partition(":") for pair in tags.split(",") if pair]
    return [
        _label("scenario", result.scenario),
        *(_label(name.strip(), value.strip()) for name, _, value in pairs),
    ]


def _metric(name: str, rows: list[tuple[list[str], MetricSummary]]) -> Iterator[str]:
    metric = METRICS[name]
    counted = metric.kind is Kind.COUNTER
    full = f"rtcli_loadtest_{name}{_SUFFIX[metric.unit]}" + ("_total" if counted else "")
    kind = {Kind.TREND: "summary", Kind.COUNTER: "counter"}.get(metric.kind, "gauge")
    yield f"# HELP {full} {metric.help}"
    yield f"# TYPE {full} {kind}"
    for labels, summary in rows:
        yield from _samples(full, metric.kind, labels, summary)


def _samples(full: str, kind: Kind, labels: list[str], summary: MetricSummary) -> Iterator[str]:
    inner = ",".join(labels)
    if kind is Kind.TREND:
        values = {"50": summary.med, **summary.percentiles}
        for quantile, percent in _QUANTILES:
            if (value := values.get(percent)) is not None:
                yield f"{full}{{{inner},{_label('quantile', quantile)}}} {value!r}"
        yield f"{full}_sum{{{inner}}} {(summary.avg or 0.0) * summary.count!r}"
        yield f"{full}_count{{{inner}}} {summary.count:g}"
        return
    value = summary.count if kind is Kind.COUNTER else summary.rate if kind is Kind.RATE else summary.value
    if value is not None:
        yield f"{full}{{{inner}}} {value!r}"
