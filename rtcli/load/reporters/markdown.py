"""The report in Markdown, for a comment on a pull request or the step summary of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rtcli.load.metrics.formatting import format_seconds, format_value
from rtcli.load.reporters.headline import HEADLINES, sentence
from rtcli.load.results.accounts import Accounts
from rtcli.load.results.kinds import KINDS, UNJUDGED
from rtcli.load.results.model import RunResult, Verdict
from rtcli.load.results.wording import (
    accounts_line,
    role_presence,
    shortfall_place,
    shortfall_title,
    shortfall_why,
    violation_sentence,
)
from rtcli.terminal.escaping import escape
from rtcli.units import format_number

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@])")
_SIGNS = {Verdict.PASSED: "✅", Verdict.INCONCLUSIVE: "⚠️", Verdict.INTERRUPTED: "⚠️"}
_OUTCOMES = {"passed": "✅", "failed": "❌", "inconclusive": "⚠️"}
_BARS = "▁▂▃▄▅▆▇█"
_MAX_VIOLATIONS = 10
_MAX_SHORTFALLS = 20


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
    if result.accounts is not None:
        yield f"**{_text(accounts_line(result.accounts))}**"
        yield ""
    said = sentence(result)
    yield _text(f"{result.description} {said[:1].upper()}{said[1:]}".strip())
    yield ""
    yield from (f"- {_text(reason)}" for reason in result.reasons)
    yield ""
    if result.accounts is not None:
        yield from _accounts(result.accounts)
    yield from _table(result)
    yield from _deliveries(result)
    yield from _latency(result)


def _accounts(accounts: Accounts) -> Iterator[str]:
    """What is missing from the accounts, by cause; and the roles that were not all there."""
    found = [*accounts.users.shortfalls, *accounts.sends.shortfalls, *accounts.deliveries.shortfalls]
    if found:
        yield "| | missing | role | why | when and who |"
        yield "|---|---|---|---|---|"
    for item in sorted(found, key=lambda each: each.allowed)[:_MAX_SHORTFALLS]:
        sign = "⚠️" if item.allowed or item.by_generator else "❌"
        cells = (shortfall_title(item), item.role, shortfall_why(item), shortfall_place(item))
        yield f"| {sign} | {' | '.join(map(_text, cells))} |"
    if len(found) > _MAX_SHORTFALLS:
        yield f"| | {len(found) - _MAX_SHORTFALLS} more causes | | | |"
    if found:
        yield ""
    short = [role for role in accounts.users.roles if role.is_short]
    yield from (f"- {_text(role.role)} was {_text(role_presence(role))}" for role in short)
    if short:
        yield ""


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
    if audit is None or (result.accounts is not None and not result.accounts.sends.planned):
        return
    if audit.delivery == "none":
        yield f"**Deliveries**: not judged ({_text(UNJUDGED['deliveries'])})."
        yield ""
        return
    counts = result.violation_counts
    kinds = [kind for kind in KINDS.values() if kind.account == "deliveries"]
    found = [f"{format_number(counts[kind.name])} {_text(kind.words)}" for kind in kinds if counts[kind.name]]
    expected, arrived = (format_number(audit.counts.get(key, 0)) for key in ("expected", "delivered"))
    yield f"**Deliveries**: {expected} expected, {arrived} arrived, {', '.join(found) or 'no violation'}."
    yield ""
    yield from (
        f"- **{group.count} {_text(group.kind)}**: {_text(group.text)}" for group in audit.groups[:20]
    )
    for violation in audit.violations[:_MAX_VIOLATIONS]:
        yield f"- {_text(violation.kind)}: {_text(violation_sentence(violation))}"
    yield ""


def _latency(result: RunResult) -> Iterator[str]:
    metric = result.metrics.get("fanout_latency")
    if metric is None or metric.med is None:
        return
    figures = [("half", metric.med), *((f"{name} %", value) for name, value in metric.percentiles.items())]
    shown = ", ".join(f"{name} {format_seconds(value)}" for name, value in figures)
    yield f"**Fan-out latency** (from when a message should have been sent): {shown}."
    yield ""
    yield f"`{sparkline([row.fanout_p99 for row in result.timeline])}` 99 % over time"


def sparkline(values: list[float | None]) -> str:
    """One character for each value, its height in proportion to the largest; at most 60."""
    step = max(1, -(-len(values) // 60))
    chunks = [values[start : start + step] for start in range(0, len(values), step)]
    tops = [max((value for value in chunk if value is not None), default=None) for chunk in chunks]
    largest = max((top for top in tops if top is not None), default=0.0) or 1.0
    return "".join(" " if top is None else _BARS[min(7, int(top / largest * 8))] for top in tops)
