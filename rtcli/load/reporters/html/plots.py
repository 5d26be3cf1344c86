"""The plots of `report.html`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rtcli.load.metrics.formatting import format_seconds
from rtcli.load.reporters.html import svg
from rtcli.load.results.accounts import Accounts
from rtcli.load.results.model import RunResult, Second
from rtcli.load.results.wording import shortfall_title, shortfall_why
from rtcli.units import format_number

_MAX_POINTS = 300
_MAX_SPANS = 200
_MAX_TIPS = 8  # lines of a tool tip
_SPECTRA = (
    ("fanout_latency", "to each receiver", "c2"),
    ("fanout_service", "to each, from the actual send", "c3"),
    ("fanout_complete", "to the last receiver", "c4"),
)


def plots(result: RunResult) -> str:
    """The section; empty when there is nothing to draw."""
    seconds, step = condense(result.timeline)
    spans = [] if result.accounts is None else missing_spans(result.accounts)
    parts = [*_latency(seconds, step, spans), *_spectrum(result), *_traffic(seconds, step, spans)]
    note = (
        "Latency counts from when a message should have been sent. Under each plot: how late the load "
        "generator itself was; yellow seconds are those in which it was the bottleneck. Red: users or "
        "messages were missing then."
    )
    return f'<section><h2>Over time</h2>{"".join(parts)}<p class="dim">{note}</p></section>' if parts else ""


def missing_spans(accounts: Accounts) -> list[svg.Span]:
    """When something was missing that is not allowed. Times that overlap become one."""
    found: list[svg.Span] = []
    shortfalls = [item for item in accounts.shortfalls if item.first is not None and item.kind != "missed"]
    for item in sorted(shortfalls, key=lambda each: each.first or 0.0):
        start = item.first or 0.0
        end = start if item.last is None else item.last
        text = f"{shortfall_title(item)} ({item.role}): {shortfall_why(item)}"
        if found and start <= found[-1].end:
            before = found.pop()
            lines = before.text.split("\n")
            text = before.text if len(lines) >= _MAX_TIPS or text in lines else f"{before.text}\n{text}"
            start, end = before.start, max(before.end, end)
        found.append(svg.Span(start, end, text))
    return found[:_MAX_SPANS]


def condense(seconds: Sequence[Second]) -> tuple[list[Second], int]:
    """At most 300 points, so that the page of a long run stays small, and how many seconds a point is.

    Each point shows the worst of its seconds.
    """
    step = max(1, -(-len(seconds) // _MAX_POINTS))
    points = [_worst(seconds[start : start + step]) for start in range(0, len(seconds), step)]
    return points, step * (seconds[0].seconds if seconds else 1)


def _worst(chunk: Sequence[Second]) -> Second:
    def top(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    length = sum(row.seconds for row in chunk)
    return replace(
        chunk[0],
        users=max(row.users for row in chunk),
        connections=min(row.connections for row in chunk),
        sent=round(sum(row.sent for row in chunk) / length),
        received=round(sum(row.received for row in chunk) / length),
        fanout_p50=top(row.fanout_p50 for row in chunk),
        fanout_p99=top(row.fanout_p99 for row in chunk),
        service_p99=top(row.service_p99 for row in chunk),
        lag_p99=top(row.lag_p99 for row in chunk),
        flagged=next((row.flagged for row in chunk if row.flagged), ""),
    )


def _latency(seconds: Sequence[Second], step: int, spans: Sequence[svg.Span]) -> list[str]:
    lines = [
        svg.Line("half of the deliveries", "c1", [row.fanout_p50 for row in seconds]),
        svg.Line("99 %", "c2", [row.fanout_p99 for row in seconds]),
        svg.Line("99 %, from the actual send", "c3", [row.service_p99 for row in seconds]),
    ]
    scale = svg.logarithmic(value for line in lines for value in line.values)
    if not seconds:
        return []
    drawing = svg.timeline(seconds, lines, scale, format_seconds, step, spans=spans)
    return ["<h3>Fan-out latency over time</h3>", drawing]


def _spectrum(result: RunResult) -> list[str]:
    curves = [
        (title, color, result.spectrum[name]) for name, title, color in _SPECTRA if name in result.spectrum
    ]
    return ["<h3>Latency by percentile</h3>", svg.spectrum(curves, format_seconds)] if curves else []


def _traffic(seconds: Sequence[Second], step: int, spans: Sequence[svg.Span]) -> list[str]:
    people = [
        svg.Line("users", "c1", [float(row.users) for row in seconds]),
        svg.Line("connections", "c2", [float(row.connections) for row in seconds]),
    ]
    sent = [svg.Line("sent per second", "c1", [float(row.sent) for row in seconds])]
    received = [svg.Line("received per second", "c2", [float(row.received) for row in seconds])]
    parts: list[str] = []
    for title, lines in (("Users and connections", people), ("Sent", sent), ("Received", received)):
        scale = svg.linear(value for line in lines for value in line.values)
        parts += [f"<h3>{title}</h3>", svg.timeline(seconds, lines, scale, format_number, step, spans=spans)]
    return parts if seconds else []
