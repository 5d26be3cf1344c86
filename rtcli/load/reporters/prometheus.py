"""A run's metrics in Prometheus' text format 0.0.4, for a push gateway or a textfile collector."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rtcli.load.metrics.names import METRICS, Kind, Unit
from rtcli.load.results.accounts import Accounts
from rtcli.load.results.model import MetricSummary, RunResult
from rtcli.terminal.escaping import escape

_SELECTOR = re.compile(r"(\w+)(?:\{(.*)\})?")
_SUFFIX = {Unit.SECONDS: "_seconds", Unit.BYTES: "_bytes", Unit.RATIO: "_ratio", Unit.NUMBER: ""}
_QUANTILES = (("0.5", "50"), ("0.9", "90"), ("0.95", "95"), ("0.99", "99"), ("0.999", "99.9"))


def _label(name: str, value: str) -> str:
    quoted = escape(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{quoted}"'


def render(result: RunResult) -> str:
    """All metrics, each with its help and type."""
    by_name: dict[str, list[tuple[list[str], MetricSummary]]] = {}
    for selector, summary in result.metrics.items():
        match = _SELECTOR.fullmatch(selector)
        if match is not None and match[1] in METRICS:
            by_name.setdefault(match[1], []).append((_labels(result, match[2] or ""), summary))
    lines = [line for name, rows in by_name.items() for line in _metric(name, rows)]
    if result.accounts is not None:
        lines += _accounts(result, result.accounts)
    labels = ",".join([*_labels(result, ""), _label("verdict", result.verdict.value)])
    lines += [
        "# HELP rtcli_loadtest_passed Whether the run was good enough.",
        "# TYPE rtcli_loadtest_passed gauge",
        f"rtcli_loadtest_passed{{{labels}}} {int(result.exit_code == 0)}",
    ]
    return "\n".join(lines) + "\n"


def _accounts(result: RunResult, accounts: Accounts) -> Iterator[str]:
    """The three accounts, what is missing by kind, role and code, and the presence of each role."""
    users, sends, deliveries = accounts.users, accounts.sends, accounts.deliveries
    figures = {
        "users": (users.planned, users.present),
        "sends": (sends.due, sends.accepted),
        "deliveries": (deliveries.planned, deliveries.delivered),
    }
    for place, (name, text) in enumerate(
        (
            ("planned", "By the plan of the scenario."),
            ("actual", "Of those, who was there or what was accepted and arrived."),
        )
    ):
        rows = [([_label("account", account)], pair[place]) for account, pair in figures.items()]
        yield from _gauge(result, f"account_{name}", text, rows)
    missing: dict[tuple[str, ...], int] = {}
    for item in (*users.shortfalls, *sends.shortfalls, *deliveries.shortfalls):
        key = (item.kind, item.role, item.code, str(item.allowed).lower())
        missing[key] = missing.get(key, 0) + item.count
    names = ("kind", "role", "code", "allowed")
    shortfalls: list[tuple[list[str], float]] = [
        ([_label(name, value) for name, value in zip(names, key, strict=True)], count)
        for key, count in missing.items()
    ]
    yield from _gauge(result, "shortfall", "Missing users, messages and deliveries.", shortfalls)
    presence = [([_label("role", role.role)], role.share) for role in users.roles]
    yield from _gauge(
        result, "presence_ratio", "Share of a role's planned time in which it was there.", presence
    )


def _gauge(result: RunResult, name: str, text: str, rows: Sequence[tuple[list[str], float]]) -> Iterator[str]:
    full = f"rtcli_loadtest_{name}"
    yield f"# HELP {full} {text}"
    yield f"# TYPE {full} gauge"
    for labels, value in rows:
        yield f"{full}{{{','.join([*_labels(result, ''), *labels])}}} {value!r}"


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
