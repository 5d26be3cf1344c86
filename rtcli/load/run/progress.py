"""The progress of a run, for people: a live view on a terminal, a line every 10 s elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Self

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from typing_extensions import override

from rtcli.load.core.schedule import phase_bounds
from rtcli.load.metrics.formatting import format_seconds
from rtcli.load.metrics.histogram import Histogram
from rtcli.load.run.coordinator import ProgressView, RunState
from rtcli.units import format_number

_EVERY_S = 10.0
_WINDOW = 5  # seconds that rates and percentiles cover


class ProgressFigures:
    """The figures of a run's last five seconds."""

    def __init__(self, state: RunState) -> None:
        self.now = max(0.0, state.now())
        scenario = state.spec.scenario
        self.phase = "settling"
        for phase, start, end in phase_bounds(scenario.phases):
            if start <= self.now < end and state.ended is None:
                self.phase = phase.name
        self.share = min(1.0, self.now / scenario.duration)
        self.duration = scenario.duration
        self.users = sum(state.users.values())
        self.absent = sum(state.absent.values())
        self.accepted = sum(
            sum(phases.values()) for roles in state.accepted.values() for phases in roles.values()
        )
        self.unsent = sum(state.unsent.values())
        self.connections = sum(state.connections.values())
        last = range(max(0, int(self.now) - _WINDOW), int(self.now))
        latency, lag = (state.store.recent(name, last) for name in ("fanout_latency", "schedule_lag"))
        self.sent, self.received = _rate(lag, last), _rate(latency, last)
        self.latency, self.lag = _pair_of(latency), _pair_of(lag)
        seen = Counter({kind: int(state.store.count(kind, {}) or 0) for kind in ("connect_failed", "errors")})
        seen.update({"absent": self.absent, "unsent": self.unsent})
        for violations in state.violations.values():
            seen.update(violations)
        self.failures = [
            f"{format_number(count)} {kind.replace('_', ' ')}" for kind, count in seen.items() if count
        ]


def _rate(samples: Histogram, seconds: range) -> float:
    return samples.count / len(seconds) if seconds else 0.0


def _pair_of(samples: Histogram) -> tuple[float, float] | None:
    """p50 and p99 (seconds); None without samples."""
    return (samples.percentile(50), samples.percentile(99)) if samples.count else None


class SilentProgress(ProgressView):
    """Shows nothing."""

    @override
    def show(self, state: RunState) -> None:
        """Show nothing."""


class ProgressLines(ProgressView):
    """Writes a line every 10 s."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next = 0.0

    @override
    def show(self, state: RunState) -> None:
        if state.base and state.now() >= self._next and state.users:
            self._next = state.now() + _EVERY_S
            self._write(line(ProgressFigures(state)))


def line(figures: ProgressFigures) -> str:
    """The figures as one line."""
    parts = [
        f"{figures.now:3.0f}/{figures.duration:.0f} s {figures.phase}:",
        f"{_of(figures.users - figures.absent, figures.users)} users,",
        f"{_of(figures.accepted, figures.accepted + figures.unsent)} messages,",
        f"{format_number(round(figures.sent))} sent/s,",
        f"{format_number(round(figures.received))} received/s,",
        "fan-out " + _pair(figures.latency) + ",",
        "lag p99 " + ("–" if figures.lag is None else format_seconds(figures.lag[1])),
    ]
    parts += [f", {what}" for what in figures.failures]
    return " ".join(parts).replace(" ,", ",")


def _of(actual: int, planned: int) -> str:
    return f"{format_number(max(0, actual))} of {format_number(planned)}"


def _pair(pair: tuple[float, float] | None) -> str:
    return "–" if pair is None else f"p50 {format_seconds(pair[0])} p99 {format_seconds(pair[1])}"


class LogView(ProgressView):
    """Writes the lines of the scenario's `log` steps as they come, beside another view."""

    def __init__(self, view: ProgressView, write: Callable[[str], None]) -> None:
        self._view = view
        self._write = write
        self._shown = 0

    @override
    def show(self, state: RunState) -> None:
        new = min(state.logged - self._shown, len(state.log))
        for line in [*state.log][len(state.log) - new :]:
            self._write(str(line))
        self._shown = state.logged
        self._view.show(state)


class ProgressScreen(ProgressView):
    """Shows a table on a terminal and keeps it up to date; a context manager."""

    def __init__(self) -> None:
        self._live = Live(console=RichConsole(stderr=True), refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @override
    def show(self, state: RunState) -> None:
        if state.base:
            self._live.update(table(ProgressFigures(state)))


def table(figures: ProgressFigures) -> Table:
    """The figures as a small table."""
    grid = Table.grid(padding=(0, 2))
    grid.add_row("phase", f"{figures.phase}  {figures.now:.0f} of {figures.duration:.0f} s")
    grid.add_row("", ProgressBar(total=1.0, completed=figures.share, width=40))
    there = _of(figures.users - figures.absent, figures.users)
    grid.add_row("users", f"{there}, {format_number(figures.connections)} connections")
    accepted = _of(figures.accepted, figures.accepted + figures.unsent)
    rates = (
        f"{format_number(round(figures.sent))}/s sent, {format_number(round(figures.received))}/s received"
    )
    grid.add_row("messages", f"{accepted} accepted, {rates}")
    grid.add_row("fan-out", _pair(figures.latency))
    grid.add_row("schedule lag", _pair(figures.lag))
    grid.add_row("wrong", ", ".join(figures.failures) or "nothing so far; what is lost is certain at the end")
    return grid
