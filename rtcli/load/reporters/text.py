"""The report for a terminal: the verdict, the figures, and evidence of what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rtcli.load.metrics.formatting import format_seconds, format_value
from rtcli.load.reporters.headline import HEADLINES, sentence
from rtcli.load.results.accounts import Shortfall
from rtcli.load.results.kinds import KINDS, UNJUDGED, words_of
from rtcli.load.results.model import (
    AuditResult,
    LogLine,
    MetricSummary,
    RunResult,
    ThresholdResult,
    Violation,
)
from rtcli.load.results.wording import (
    accounts_line,
    counted,
    role_time,
    sends_details,
    shortfall_place,
    shortfall_title,
    shortfall_why,
    taken_time,
    users_details,
    violation_facts,
    violation_sentence,
)
from rtcli.terminal.escaping import escape
from rtcli.units import format_bytes, format_number

Paint = Callable[[str, str], str]
"""Colours a text: `paint(text, "red")`. The console's `style` does so where colours are wanted."""

_MAX_SHOWN = 5
_MAX_OF_MANY = 2  # violations of each kind, where there are several kinds
_COLOR = re.compile("\x1b\\[[0-9;]*m")
_LABEL = 15


def plain(text: str, _style: str) -> str:
    """Leave the text as it is."""
    return text


def render(result: RunResult, paint: Paint = plain, width: int | None = None) -> str:
    """The whole report, several lines, ending with a newline; no line is wider than `width` columns."""
    lines = [*_headline(result, paint), "", *_accounts(result, paint), *_deliveries(result)]
    lines += [*_latency(result), *_thresholds(result.thresholds, paint), *_generator(result, paint)]
    if result.audit is not None and result.audit.violations:
        lines += ["", *_violations(result, result.audit, paint)]
    lines += [_row("" if number else "Log", escape(line)) for number, line in enumerate(_log(result.log))]
    lines += [_row("" if number else "Notes", escape(note)) for number, note in enumerate(result.notes)]
    if width is not None:
        lines = [part for line in lines for part in fold(line, width)]
    return "\n".join(lines) + "\n"


def _log(log: Sequence[LogLine]) -> Iterator[str]:
    """The last lines of the scenario's log."""
    yield from map(str, log[-_MAX_SHOWN:])
    if len(log) > _MAX_SHOWN:
        yield f"and {format_number(len(log) - _MAX_SHOWN)} more before; --out DIR keeps them in summary.json"


def fold(line: str, width: int) -> list[str]:
    """Fold a line at its spaces; what follows is indented like its text. Colours take no space."""
    if len(_COLOR.sub("", line)) <= width:
        return [line]
    plain_line = _COLOR.sub("", line)
    indent = len(plain_line) - len(plain_line.lstrip())
    indent = indent + 2 if indent else _LABEL
    folded, used = [""], 0
    for word in re.findall(r" *[^ ]+", line):
        size = len(_COLOR.sub("", word))
        if used and used + size > width:
            folded.append(" " * indent + word.lstrip())
            used = indent + size - (len(word) - len(word.lstrip()))
        else:
            folded[-1] += word
            used += size
    return folded


def _row(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _headline(result: RunResult, paint: Paint) -> Iterator[str]:
    word, color = HEADLINES[result.verdict]
    yield f"{paint(word, color)}  {escape(result.scenario)}: {escape(sentence(result))}"
    if result.accounts is not None:
        yield f"  {paint(escape(accounts_line(result.accounts)), 'bold')}"
    if result.description:
        yield f"  {paint(escape(result.description), 'dim')}"
    for reason in result.reasons:
        yield f"  - {escape(reason)}"


# -- the three accounts ------------------------------------------------------------------------------------


def _accounts(result: RunResult, paint: Paint) -> Iterator[str]:
    """Users and messages, and of all three what is missing."""
    if result.accounts is None:
        yield _row("Users", "not accounted for: a result of an earlier version")
        return
    users, sends, deliveries = result.accounts.users, result.accounts.sends, result.accounts.deliveries
    yield _row("Users", users_details(users))
    for role in users.roles:
        if role.is_short or role.present < role.planned:
            figures = f"{format_number(role.present)} of {format_number(role.planned)}, {role_time(role)}"
            yield _row("", f"{escape(role.role)}: {figures}")
    yield from _shortfalls(users.shortfalls, paint)
    if sends.planned:
        yield _row("Messages", sends_details(sends))
        yield from _shortfalls(sends.shortfalls, paint)
        if deliveries.missed:
            yield _row(
                "Missed",
                f"{counted(deliveries.missed, 'deliveries')}, published while their receivers were absent",
            )
            yield from _shortfalls(deliveries.shortfalls, paint)


def _shortfalls(shortfalls: Sequence[Shortfall], paint: Paint) -> Iterator[str]:
    """Two lines for each: how many and why, when and who. The largest first, what is allowed last."""
    found = sorted(shortfalls, key=lambda item: (item.allowed, -item.count))
    for item in found[:_MAX_SHOWN]:
        color = "yellow" if item.allowed or item.by_generator else "red"
        yield f"  {paint(shortfall_title(item), color)}  {escape(f'{item.role}: {shortfall_why(item)}')}"
        yield f"      {paint(escape(shortfall_place(item)), 'dim')}"
    if len(found) > _MAX_SHOWN:
        rest = sum(item.count for item in found[_MAX_SHOWN:])
        others = len(found) - _MAX_SHOWN
        yield f"  and {format_number(rest)} more, in {others} {'group' if others == 1 else 'groups'}"


_TEXTS = {
    "whole": "texts compared with what was sent",
    "token": "texts not compared, only their tokens (audit: text: token)",
}


def _deliveries(result: RunResult) -> Iterator[str]:
    audit = result.audit
    if result.accounts is not None and not result.accounts.sends.planned:
        return
    if audit is None or audit.delivery == "none":
        yield _row("Deliveries", f"not judged ({UNJUDGED['deliveries']})")
        return
    counts = {**audit.counts, **result.violation_counts}
    expected, delivered = (format_number(counts.get(key, 0)) for key in ("expected", "delivered"))
    yield _row(
        "Deliveries",
        f"{expected} expected, {delivered} arrived ({counted(counts.get('sent', 0), 'sends')}, "
        f"{counted(audit.subscribers, 'subscribers')})",
    )
    kinds = [kind.name for kind in KINDS.values() if kind.account == "deliveries"]
    found = [f"{KINDS[kind].words} {format_number(counts.get(kind, 0))}" for kind in kinds]
    yield _row("", "  ".join(found[:5]))
    yield _row("", "  ".join(found[5:]))
    if counts.get("late") or counts.get("indeterminate"):
        unsure = " (joining, leaving or cut off just then)" if counts.get("indeterminate") else ""
        late, unknown = (format_number(counts.get(key, 0)) for key in ("late", "indeterminate"))
        yield _row("", f"late {late}  indeterminate {unknown}{unsure}")
    if audit.text in _TEXTS:
        yield _row("", _TEXTS[audit.text])


_LATENCIES = (
    ("fanout_latency", "to each", "since it was due"),
    ("fanout_service", "  service", "since it was sent"),
    ("fanout_complete", "to the last", "since it was due"),
    ("recovery_time", "recovery", "from lost to back"),
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
    core = f"{own.cpu_share * 100:.0f} % of a core"
    parts = [counted(own.workers, "workers"), core, format_bytes(own.rss), counted(own.users, "users")]
    lag = "" if own.lag_p99 is None else f"; sent on time within {format_seconds(own.lag_p99)} (99 %)"
    if own.loop_lag_p99 is not None:
        lag += f", received within {format_seconds(own.loop_lag_p99)}"
    yield _row("Generator", ", ".join(parts) + lag)
    flagged = f"{format_number(own.flagged_seconds)} of {result.duration:.0f} seconds"
    troubles = [
        (own.dropped_sends, f"{counted(own.dropped_sends, 'sends')} could not be sent"),
        (own.stalls, f"{counted(own.stalls, 'stalls')} of more than {format_seconds(own.stall_s)}"),
        (own.flagged_seconds, f"{flagged} in which it was the bottleneck"),
    ]
    found = [what for count, what in troubles if count]
    if found:
        yield _row("", paint(", ".join(found), "yellow"))
    taken = taken_time(own, result.duration)
    if taken:
        yield _row("", paint(taken, "yellow"))


def _violations(result: RunResult, audit: AuditResult, paint: Paint) -> Iterator[str]:
    yield paint("What went wrong", "bold")
    for group in audit.groups[:_MAX_SHOWN]:
        yield f"  {format_number(group.count)} {words_of(group.kind)}: {escape(group.text)}"
    if len(audit.groups) > _MAX_SHOWN:
        yield f"  and {counted(len(audit.groups) - _MAX_SHOWN, 'groups')} more"
    if audit.groups:
        yield ""
    kinds = {violation.kind for violation in audit.violations}
    limit = _MAX_OF_MANY if len(kinds) > 1 or kinds & {"absent", "unsent"} else _MAX_SHOWN
    by_kind = [
        [found for found in audit.violations if found.kind == kind] for kind in (*KINDS, *kinds - {*KINDS})
    ]
    shown = [violation for found in by_kind for violation in found[:limit]]
    for violation in shown:
        yield from _violation(violation, paint)
    rest = sum(result.violation_counts.values()) - len(shown)
    if rest > 0:
        yield f"  and {format_number(rest)} more; --out DIR keeps the evidence of some of each kind"


def _violation(violation: Violation, paint: Paint) -> Iterator[str]:
    yield f"  {paint(words_of(violation.kind), 'red')}  {escape(violation_sentence(violation))}"
    extra = violation_facts(violation)
    if extra:
        yield paint(f"      {escape(extra)}", "dim")
