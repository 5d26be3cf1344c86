"""The report for a terminal: the verdict, the figures, and evidence of what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rtcli.load.metrics.formatting import format_seconds, format_value
from rtcli.load.results.model import (
    VIOLATIONS,
    AuditResult,
    MetricSummary,
    RunResult,
    ThresholdResult,
    Verdict,
    Violation,
)
from rtcli.terminal.escaping import escape
from rtcli.units import format_bytes, format_number

Paint = Callable[[str, str], str]
"""Colours a text: `paint(text, "red")`. The console's `style` does so where colours are wanted."""

HEADLINES = {
    Verdict.PASSED: ("PASSED", "green"),
    Verdict.VIOLATION: ("DELIVERY VIOLATION", "red"),
    Verdict.THRESHOLD: ("THRESHOLD FAILED", "red"),
    Verdict.WORSE: ("WORSE THAN THE BASELINE", "red"),
    Verdict.INCONCLUSIVE: ("INCONCLUSIVE", "yellow"),
    Verdict.INTERRUPTED: ("INTERRUPTED", "yellow"),
}
MEANING = {
    "lost": "an expected receiver never got it",
    "duplicate": "got it more than once",
    "reordered": "got it out of order",
    "resume_gap": "lost while away, although nothing was said to be missing",
    "leak": "got it without being a member of its room",
    "phantom": "got something that this run never sent",
    "ghost": "got it although its sender was told that it failed",
    "corrupt": "got it changed on the way",
}
_MAX_SHOWN = 5
_LABEL = 15


def plain(text: str, _style: str) -> str:
    """Leave the text as it is."""
    return text


def render(result: RunResult, paint: Paint = plain) -> str:
    """The whole report, several lines, ending with a newline."""
    lines = [*_headline(result, paint), "", *_deliveries(result), *_latency(result)]
    lines += [*_thresholds(result.thresholds, paint), *_generator(result, paint)]
    if result.audit is not None and result.audit.violations:
        lines += ["", *_violations(result.audit, paint)]
    lines += [_row("" if number else "Notes", escape(note)) for number, note in enumerate(result.notes)]
    return "\n".join(lines) + "\n"


def _row(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _headline(result: RunResult, paint: Paint) -> Iterator[str]:
    word, color = HEADLINES[result.verdict]
    yield f"{paint(word, color)}  {result.scenario}: {sentence(result)}"
    if result.description:
        yield _row("", paint(result.description, "dim"))
    for reason in result.reasons:
        yield f"  - {escape(reason)}"


def sentence(result: RunResult) -> str:
    """The verdict as a clause, to follow the scenario's name and a colon."""
    audit = result.audit
    if result.verdict is Verdict.PASSED and audit is not None and audit.counts.get("delivered"):
        order = {"exactly-once": "once", "at-least-once": "at least once", "at-most-once": "at most once"}
        ordered = " and in order" if audit.order != "none" else ""
        if audit.delivery == "none":
            return "every threshold holds."
        return f"every message reached everyone who should have it, {order[audit.delivery]}{ordered}."
    return {
        Verdict.PASSED: "every threshold holds.",
        Verdict.VIOLATION: "messages did not reach everyone as they should.",
        Verdict.THRESHOLD: "it is not good enough.",
        Verdict.WORSE: "it was better before.",
        Verdict.INCONCLUSIVE: "the load generator could not keep up: this says little about the server.",
        Verdict.INTERRUPTED: "this is what was seen until then.",
    }[result.verdict]


def _deliveries(result: RunResult) -> Iterator[str]:
    audit = result.audit
    if audit is None:
        yield _row("Deliveries", "not audited (audit: delivery: none)")
        return
    counts = audit.counts
    sent, expected, delivered = (
        format_number(counts.get(key, 0)) for key in ("sent", "expected", "delivered")
    )
    yield _row(
        "Deliveries",
        f"{expected} expected, {delivered} arrived ({sent} messages, {audit.subscribers} subscribers)",
    )
    found = [f"{kind.replace('_', ' ')} {format_number(counts.get(kind, 0))}" for kind in VIOLATIONS]
    yield _row("", "  ".join(found[:4]) + "  " + "  ".join(found[4:]))
    more = [(key, counts.get(key, 0)) for key in ("late", "gap_declared", "indeterminate")]
    if any(count for _, count in more):
        counted = "  ".join(f"{key.replace('_', ' ')} {format_number(count)}" for key, count in more)
        unsure = " (joining, leaving or cut off just then)" if counts.get("indeterminate") else ""
        yield _row("", counted + unsure)


_LATENCIES = (
    ("fanout_latency", "to each", "from when the message should have been sent"),
    ("fanout_service", "  service", "from when it really was sent"),
    ("fanout_complete", "to the last", "from when it should have been sent"),
    ("recovery_time", "recovery", "from a lost connection to being back in all rooms"),
)


def _latency(result: RunResult) -> Iterator[str]:
    """A table of latencies: a name, four figures, and what they measure."""
    rows = [
        (label, _figures(metric), meaning)
        for name, label, meaning in _LATENCIES
        if (metric := result.metrics.get(name)) is not None and metric.med is not None
    ]
    if rows:
        yield _row("Latency", "".join(f"{title:>10}" for title in ("half", "95 %", "99 %", "max")))
    for label, figures, meaning in rows:
        yield f"  {label:<{_LABEL - 2}}{figures}   {meaning}"


def _figures(metric: MetricSummary) -> str:
    values = (metric.med, metric.percentiles.get("95"), metric.percentiles.get("99"), metric.max)
    return "".join(f"{'-' if value is None else format_seconds(value):>10}" for value in values)


def _thresholds(results: Sequence[ThresholdResult], paint: Paint) -> Iterator[str]:
    if not results:
        yield _row("Thresholds", "none")
        return
    passed = sum(result.outcome == "passed" for result in results)
    yield _row("Thresholds", f"{passed} of {len(results)} passed")
    width = max(len(f"{result.selector} {result.text}") for result in results)
    marks = {
        "passed": paint("ok  ", "green"),
        "failed": paint("FAIL", "red"),
        "inconclusive": paint("??  ", "yellow"),
    }
    for result in results:
        measured = "no data" if result.value is None else format_value(result.value, result.unit)
        extra = "" if result.strict else "  (advisory)"
        extra += "  ended the run" if result.aborted else ""
        yield f"  {marks[result.outcome]} {f'{result.selector} {result.text}':<{width}}  {measured}{extra}"


def _generator(result: RunResult, paint: Paint) -> Iterator[str]:
    own = result.generator
    workers = "1 worker" if own.workers == 1 else f"{own.workers} workers"
    parts = [workers, f"{own.cpu_share * 100:.0f} % of a core", format_bytes(own.rss), f"{own.users} users"]
    lag = "" if own.lag_p99 is None else f"; sent on time within {format_seconds(own.lag_p99)} (99 %)"
    yield _row("Generator", ", ".join(parts) + lag)
    troubles = [
        (own.dropped_sends, "messages could not be sent"),
        (own.stalls, "stalls of more than 100 ms"),
        (own.flagged_seconds, f"of {result.duration:.0f} seconds in which it was the bottleneck"),
    ]
    found = ", ".join(f"{format_number(count)} {what}" for count, what in troubles if count)
    if found:
        yield _row("", paint(found, "yellow"))


def _violations(audit: AuditResult, paint: Paint) -> Iterator[str]:
    yield paint("What went wrong", "bold")
    for group in audit.groups[:_MAX_SHOWN]:
        yield f"  {format_number(group.count)} {group.kind.replace('_', ' ')}: {escape(group.text)}"
    if len(audit.groups) > _MAX_SHOWN:
        yield f"  and {len(audit.groups) - _MAX_SHOWN} more groups"
    yield ""
    shown = audit.violations[:_MAX_SHOWN]
    for violation in shown:
        yield from _violation(violation, paint)
    rest = sum(audit.counts.get(kind, 0) for kind in (*VIOLATIONS, "gap_declared")) - len(shown)
    if rest > 0:
        yield f"  and {format_number(rest)} more; --out DIR keeps them with their frames"


def _violation(violation: Violation, paint: Paint) -> Iterator[str]:
    meaning = MEANING.get(violation.kind, violation.kind)
    where = f" in {violation.room}" if violation.room else ""
    summary = f"{violation.message}{where}: {violation.subscriber} {meaning}"
    yield f"  {paint(violation.kind.replace('_', ' '), 'red')}  {escape(summary)}"
    times = [
        ("sent", violation.sent),
        ("acknowledged", violation.acknowledged),
        ("received", violation.received),
    ]
    shown = ", ".join(f"{what} at {time:.3f} s" for what, time in times if time is not None)
    extra = "; ".join(part for part in (shown, violation.cause, violation.detail) if part)
    if extra:
        yield paint(f"      {escape(extra)}", "dim")
