"""The options that say how much worse than a baseline is still the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.models import OptionInfo

from rtcli.cli import options
from rtcli.load.results.compare import Tolerance
from rtcli.units import parse_percent

RECORD_ANEW = "record the baseline anew: rtcli loadtest SCENARIO … --out BASELINE"


def _percent(value: str | float) -> float:
    """`parse_percent` as a Typer parser, which gets defaults too."""
    if isinstance(value, float):
        return value
    try:
        return parse_percent(value.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _latency(name: str, help_text: str) -> OptionInfo:
    """An option that is an amount of latency."""
    found: OptionInfo = typer.Option(name, metavar="DUR", parser=options.duration, help=help_text)
    return found


@dataclass(frozen=True)
class ToleranceOptions:
    """Two pairs of bounds: a share and an amount, and a factor and a smaller amount."""

    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="SHARE",
            parser=_percent,
            help="Latency is worse when it is more by this share, and by --floor.",
        ),
    ] = "30%"  # type: ignore[assignment] # Typer parses the default, too
    floor: Annotated[float, _latency("--floor", "Differences of latency up to this are noise at p50.")] = (
        "5ms"  # type: ignore[assignment] # Typer parses the default, too
    )
    tail_floor: Annotated[
        float, _latency("--tail-floor", "Differences of latency up to this are noise at p95 and p99.")
    ] = "10ms"  # type: ignore[assignment] # Typer parses the default, too
    factor: Annotated[
        float,
        typer.Option(
            "--factor",
            metavar="N",
            min=1,
            help="Latency is worse, too, at N times as much and --factor-floor more.",
        ),
    ] = 3.0
    factor_floor: Annotated[
        float, _latency("--factor-floor", "Differences up to this are noise at N times as much.")
    ] = "2ms"  # type: ignore[assignment] # Typer parses the default, too

    def read(self) -> Tolerance:
        """The tolerance."""
        return Tolerance(self.tolerance, self.floor, self.tail_floor, self.factor, self.factor_floor)
