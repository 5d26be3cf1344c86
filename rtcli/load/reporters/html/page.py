"""`report.html`: one file that opens anywhere, offline, with the verdict first.

It has no script and no link: disclosure elements and tool tips are the browser's own. All text from scenarios
and servers is escaped, and a content security policy in the file forbids everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rtcli.load.metrics.formatting import format_seconds, format_value
from rtcli.load.reporters.headline import HEADLINES, sentence
from rtcli.load.reporters.html.accounts import accounts
from rtcli.load.reporters.html.markup import lines, table, text, tile, tiles
from rtcli.load.reporters.html.plots import plots
from rtcli.load.reporters.html.style import STYLE
from rtcli.load.reporters.html.violations import violations
from rtcli.load.results.kinds import KINDS, UNJUDGED
from rtcli.load.results.model import Generator, MetricSummary, RunResult, ThresholdResult
from rtcli.load.results.wording import accounts_line, counted, taken_time
from rtcli.units import format_bytes, format_number

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(result: RunResult) -> str:
    """The whole page."""
    sections = [
        _verdict(result),
        accounts(result),
        _deliveries(result),
        _thresholds(result.thresholds),
        violations(result),
        plots(result),
        _metrics(result),
        _log(result),
        _about(result),
    ]
    title = text(f"{HEADLINES[result.verdict][0].capitalize()}: {result.scenario}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def _verdict(result: RunResult) -> str:
    word, color = HEADLINES[result.verdict]
    reasons = "".join(f"<li>{text(reason)}</li>" for reason in result.reasons)
    headline = f"{result.scenario}: {sentence(result)}"
    line = (
        "" if result.accounts is None else f'<p class="big"><b>{text(accounts_line(result.accounts))}</b></p>'
    )
    return (
        f'<header class="v {color}"><h1>{word}</h1><p class="big">{text(headline)}</p>{line}'
        f"<p>{text(result.description)}</p>{f'<ul>{reasons}</ul>' if reasons else ''}</header>"
    )


def _deliveries(result: RunResult) -> str:
    audit = result.audit
    if result.accounts is not None and not result.accounts.sends.planned:
        return ""
    if audit is None or audit.delivery == "none":
        why = f"They were not judged in this run ({UNJUDGED['deliveries']})."
        return f"<section><h2>Deliveries</h2><p>{why}</p></section>"
    counts = {**audit.counts, **result.violation_counts}
    labels = (("sent", "messages sent"), ("expected", "deliveries expected"), ("delivered", "arrived"))
    shown = [tile(format_number(counts.get(key, 0)), label) for key, label in labels]
    shown += [
        tile(format_number(counts[kind.name]), kind.words, bad=bool(counts[kind.name]))
        for kind in KINDS.values()
        if kind.account == "deliveries"
    ]
    shown += [tile(format_number(counts.get(key, 0)), key) for key in ("late", "indeterminate")]
    note = (
        f"{audit.subscribers} subscribers; every message carries a token, and every arrival is matched to "
        "its message and its receiver. Indeterminate: someone was just joining, leaving or cut off."
    )
    return f'<section><h2>Deliveries</h2>{tiles(shown)}<p class="dim">{note}</p></section>'


_MARKS = {
    "passed": ("green", "passed"),
    "failed": ("red", "FAILED"),
    "inconclusive": ("yellow", "inconclusive"),
}


def _thresholds(results: Sequence[ThresholdResult]) -> str:
    if not results:
        return "<section><h2>Thresholds</h2><p>The scenario has none.</p></section>"
    rows = []
    for result in results:
        color, word = _MARKS[result.outcome]
        value = "no data" if result.value is None else format_value(result.value, result.unit)
        extra = [
            result.reason,
            "" if result.strict else "advisory",
            "ended the run" if result.aborted else "",
        ]
        rows.append(
            (
                f'<span class="badge {color}">{word}</span>',
                f"<code>{text(result.selector)}</code> {text(result.text)}",
                text(value),
                text("; ".join(part for part in extra if part)),
            )
        )
    return f"<section><h2>Thresholds</h2>{table(('', 'threshold', 'measured', ''), rows)}</section>"


def _metrics(result: RunResult) -> str:
    rows = [
        (f"<code>{text(name)}</code>", *_figures(metric)) for name, metric in sorted(result.metrics.items())
    ]
    figures = table(("metric", "count", "mean", "half", "95 %", "99 %", "max"), rows)
    return f"<section><details><summary>All metrics ({len(rows)})</summary>{figures}</details></section>"


def _log(result: RunResult) -> str:
    if not result.log:
        return ""
    rows = [(f"{line.time:.3f} s", text(line.user), text(line.text)) for line in result.log]
    shown = table(("time", "user", "text"), rows)
    return f"<section><details><summary>Log ({len(rows)})</summary>{shown}</details></section>"


def _figures(metric: MetricSummary) -> Iterator[str]:
    if metric.avg is None:
        value = metric.value if metric.value is not None else metric.rate
        total = format_value(metric.count, metric.unit) if metric.kind == "counter" else ""
        if metric.kind == "counter":
            shown = "" if value is None else f"{value:.3g}/s"
        else:
            shown = "" if value is None else format_value(value, metric.unit)
        yield from (text(total), text(shown), "", "", "", "")
        return
    yield text(format_number(metric.count))
    for figure in (
        metric.avg,
        metric.med,
        metric.percentiles.get("95"),
        metric.percentiles.get("99"),
        metric.max,
    ):
        yield "" if figure is None else text(format_value(figure, metric.unit))


def _loops(own: Generator) -> str:
    if own.loop_lag_p99 is None:
        return "-"
    late = f"99 % late by at most {format_seconds(own.loop_lag_p99)}"
    return f"{late}, {counted(own.stalls, 'stalls')} of more than {format_seconds(own.stall_s)}"


def _about(result: RunResult) -> str:
    own = result.generator
    workers = f"{own.workers} worker{'s' if own.workers > 1 else ''}"
    facts = [
        ("target", result.target),
        ("protocol", result.protocol),
        ("length", format_seconds(result.duration)),
        ("seed", str(result.seed)),
        ("scenario", f"{result.scenario_path or 'bundled'} {result.digest[:12]}"),
        ("generator", f"{workers}, {own.cpu_share * 100:.0f} % of a core, {format_bytes(own.rss)}"),
        ("its sends", "-" if own.lag_p99 is None else f"99 % late by at most {format_seconds(own.lag_p99)}"),
        ("its event loops", _loops(own)),
        ("its processor time", taken_time(own, result.duration) or "all that it asked for"),
        *result.environment.items(),
    ]
    known = table(("", ""), [(text(name), text(value)) for name, value in facts])
    notes = "".join(f"<li>{text(note)}</li>" for note in result.notes)
    source = f"<details><summary>The scenario</summary><pre>{lines(result.scenario_text)}</pre></details>"
    return f"<section><h2>About this run</h2>{f'<ul>{notes}</ul>' if notes else ''}{known}{source}</section>"
