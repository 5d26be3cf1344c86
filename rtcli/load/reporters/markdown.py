"""The report in Markdown, for a comment on a pull request or the step summary of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rtcli.load.metrics.formatting import format_seconds, format_value
from rtcli.load.reporters.text import HEADLINES, sentence
from rtcli.load.results.model import VIOLATIONS, RunResult, Verdict
from rtcli.terminal.escaping import escape
from rtcli.units import format_number

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@])")
_SIGNS = {Verdict.PASSED: "✅", Verdict.INCONCLUSIVE: "⚠️", Verdict.INTERRUPTED: "⚠️"}
_OUTCOMES = {"passed": "✅", "failed": "❌", "inconclusive": "⚠️"}
_BARS = "▁▂▃▄▅▆▇█"
_MAX_VIOLATIONS = 10


def _text(value: object) -> str:
    """Escape a text for Markdown: markup, mentions, table borders and control characters."""
    return _SPECIAL.sub(r"\\\1", escape(str(value), limit=500))


def render(result: RunResult) -> str:
    """The whole text."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: RunResult) -> Iterator[str]:
    sign, word = _SIGNS.get(result.verdict, "❌"), HEADLINES[result.verdict][0]
    yield f"## {sign} {_text(result.scenario)}: {word.lower()}"
    yield ""
    yield _text(f"{result.description} {sentence(result).capitalize()}".strip())
    yield ""
    yield from (f"- {_text(reason)}" for reason in result.reasons)
    yield ""
    yield from _table(result)
    yield from _deliveries(result)
    yield from _latency(result)


def _table(result: RunResult) -> Iterator[str]:
    if not result.thresholds:
        return
    yield "| | threshold | measured | |"
    yield "|---|---|---|---|"
    for threshold in result.thresholds:
        value = "no data" if threshold.value is None else format_value(threshold.value, threshold.unit)
        what = _text(f"{threshold.selector} {threshold.text}")
        notes = [threshold.reason, "" if threshold.strict else "advisory"]
        extra = _text("; ".join(note for note in notes if note))
        yield f"| {_OUTCOMES[threshold.outcome]} | {what} | {_text(value)} | {extra} |"
    yield ""


def _deliveries(result: RunResult) -> Iterator[str]:
    audit = result.audit
    if audit is None:
        return
    counts = audit.counts
    found = (
        ", ".join(f"{counts[kind]} {_text(kind)}" for kind in VIOLATIONS if counts.get(kind))
        or "no violation"
    )
    expected, arrived = format_number(counts.get("expected", 0)), format_number(counts.get("delivered", 0))
    yield f"**Deliveries**: {expected} expected, {arrived} arrived, {found}."
    yield ""
    yield from (
        f"- **{group.count} {_text(group.kind)}**: {_text(group.text)}" for group in audit.groups[:20]
    )
    for violation in audit.violations[:_MAX_VIOLATIONS]:
        yield f"- {_text(violation.kind)}: {_text(violation.message)} → {_text(violation.subscriber)}"
    yield ""


def _latency(result: RunResult) -> Iterator[str]:
    metric = result.metrics.get("fanout_latency")
    if metric is None or metric.med is None:
        return
    figures = [("half", metric.med), *((f"{name} %", value) for name, value in metric.percentiles.items())]
    shown = ", ".join(f"{name} {format_seconds(value)}" for name, value in figures)
    yield f"**Fan-out latency** (from when a message should have been sent): {shown}."
    yield ""
    yield f"`{sparkline([row.fanout_p99 for row in result.timeline])}` 99 % in each second"


def sparkline(values: list[float | None]) -> str:
    """One character for each value, its height in proportion to the largest; at most 60."""
    step = max(1, -(-len(values) // 60))
    chunks = [values[start : start + step] for start in range(0, len(values), step)]
    tops = [max((value for value in chunk if value is not None), default=None) for chunk in chunks]
    largest = max((top for top in tops if top is not None), default=0.0) or 1.0
    return "".join(" " if top is None else _BARS[min(7, int(top / largest * 8))] for top in tops)
