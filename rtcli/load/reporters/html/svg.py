"""Plots as inline SVG: lines over the time of a run, and latency by percentile. No scripts, no links."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from rtcli.load.reporters.html import markup
from rtcli.load.results.model import Second

WIDTH, HEIGHT = 760, 190
LEFT, RIGHT, TOP, BOTTOM = 70, 26, 10, 24
LANE = 26  # height of the schedule lag lane under a plot
_INNER = WIDTH - LEFT - RIGHT

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: its name, its colour class, and a value for each second (None: nothing)."""

    name: str
    color: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that is shaded, in seconds of the run; the text is its tool tip."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to heights; logarithmic when `low` is above zero."""

    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        """The y coordinate of a value."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return HEIGHT - BOTTOM - min(1.0, share) * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        """Values to draw a grid line at."""
        if not self.log:
            return [self.high * share for share in (0.0, 0.5, 1.0)]
        decades = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
        return [10.0**decade for decade in decades]


def linear(values: Iterable[float | None]) -> Scale:
    """A scale from zero to a round number above the largest value."""
    top = max((value for value in values if value is not None), default=1.0) or 1.0
    step = 10.0 ** math.floor(math.log10(top))
    return Scale(0.0, next(step * factor for factor in (1, 2, 5, 10) if step * factor >= top), log=False)


def logarithmic(values: Iterable[float | None]) -> Scale:
    """A scale of whole decades around all values."""
    known = [value for value in values if value is not None and value > 0] or [0.001, 1.0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    return Scale(10.0**low, 10.0 ** max(high, low + 1), log=True)


def timeline(
    seconds: Sequence[Second],
    lines: Sequence[Line],
    scale: Scale,
    fmt: Format,
    step: int = 1,
    *,
    spans: Sequence[Span] = (),
) -> str:
    """Lines over time: phases marked, flagged seconds and `spans` shaded, the schedule lag in a lane below.

    A point, and an item of `seconds`, stands for `step` seconds.
    """
    count = max(1, len(seconds))

    def x(second: float) -> float:
        return LEFT + second / count * _INNER

    parts = [*_shading(seconds, x), *_spans(spans, count * step, lambda second: x(second / step))]
    parts += [*_phases(seconds, x), *_grid(scale, fmt)]
    for line in lines:
        points = [
            (x(index + 0.5), scale.at(value)) for index, value in enumerate(line.values) if value is not None
        ]
        parts.append(_polyline(points, line.color))
    parts += _lag_lane(seconds, x)
    labels = [(x(second / step), f"{second} s") for second in _steps(count * step)]
    parts += [f'<text x="{at:.0f}" y="{HEIGHT - 8}" class="t m">{label}</text>' for at, label in labels]
    return _figure("".join(parts), HEIGHT + LANE, [(line.name, line.color) for line in lines])


def _steps(count: int) -> range:
    step = next(
        (size for size in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if count / size <= 12), 7200
    )
    return range(0, count + 1, step)


def _shading(seconds: Sequence[Second], x: Callable[[float], float]) -> Iterable[str]:
    for index, row in enumerate(seconds):
        if row.flagged:
            why = f"{row.time} s: {row.flagged}"
            yield _rect((x(index), TOP), (x(1) - x(0), HEIGHT + LANE - TOP - 4), "f", why)


def _spans(spans: Sequence[Span], duration: float, x: Callable[[float], float]) -> Iterable[str]:
    """At least two pixels wide, so that a moment is seen, too."""
    for span in spans:
        start, end = (min(max(moment, 0.0), duration) for moment in (span.start, span.end))
        yield _rect((x(start), TOP), (max(2.0, x(end) - x(start)), HEIGHT - BOTTOM - TOP), "s", span.text)


def _rect(corner: tuple[float, float], size: tuple[float, float], kind: str, title: str) -> str:
    place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}"'
    return f'<rect {place} class="{kind}"><title>{markup.lines(title)}</title></rect>'


def _phases(seconds: Sequence[Second], x: Callable[[float], float]) -> Iterable[str]:
    previous = None
    for index, row in enumerate(seconds):
        if row.phase != previous:
            at = x(index)
            yield f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" class="p"/>'
            yield f'<text x="{at + 3:.1f}" y="{TOP + 10}" class="t">{escape(row.phase)}</text>'
            previous = row.phase


def _grid(scale: Scale, fmt: Format) -> Iterable[str]:
    for value in scale.ticks():
        y = scale.at(value)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="g"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="t e">{escape(fmt(value))}</text>'


def _polyline(points: Sequence[tuple[float, float]], color: str) -> str:
    if len(points) == 1:
        return f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3" class="{color}"/>'
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{color}"/>'


def _lag_lane(seconds: Sequence[Second], x: Callable[[float], float]) -> Iterable[str]:
    """A bar for the schedule lag of each second, full at 100 ms."""
    base = HEIGHT + LANE - 4
    yield f'<text x="{LEFT - 6}" y="{base}" class="t e">lag</text>'
    for index, row in enumerate(seconds):
        if row.lag_p99 is not None:
            tall = max(1.0, min(1.0, row.lag_p99 / 0.1) * (LANE - 8))
            why = f"{row.time} s: {row.lag_p99 * 1000:.2f} ms late (p99)"
            yield _rect((x(index) + 1, base - tall), (max(1.0, x(1) - x(0) - 2), tall), "l", why)


def _figure(body: str, height: int, legend: Sequence[tuple[str, str]]) -> str:
    names = "".join(f'<span class="k {color}">{escape(name)}</span>' for name, color in legend)
    drawing = f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{body}</svg>'
    return f"<figure>{drawing}<figcaption>{names}</figcaption></figure>"


def spectrum(curves: Sequence[tuple[str, str, Sequence[tuple[float, float]]]], fmt: Format) -> str:
    """Latency by percentile, on an axis of nines, so that the tail has space."""
    values = [value for _, _, points in curves for _, value in points]
    scale = logarithmic(values)
    nines = 5.0

    def x(percent: float) -> float:
        rest = max(1.0 - percent / 100.0, 10.0**-nines)
        return LEFT + -math.log10(rest) / nines * _INNER

    parts = list(_grid(scale, fmt))
    for percent in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999):
        at = x(percent)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}" class="g"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 8}" class="t m">{percent:g}</text>')
    for _, color, points in curves:
        parts.append(
            _polyline([(x(percent), scale.at(value)) for percent, value in points if value > 0], color)
        )
    return _figure("".join(parts), HEIGHT, [(name, color) for name, color, _ in curves])
