"""The values of metrics as text for people."""

from __future__ import annotations

from rtcli.load.metrics.names import Unit
from rtcli.units import format_bytes, format_number


def format_seconds(seconds: float) -> str:
    """Write a measured time with three digits: `43 µs`, `7.25 ms`, `1.5 s`, `2 min 5 s`."""
    if seconds == 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def format_value(value: float, unit: Unit) -> str:
    """Write a metric's value with its unit."""
    if unit is Unit.SECONDS:
        return format_seconds(value)
    if unit is Unit.BYTES:
        return format_bytes(value)
    if unit is Unit.RATIO:
        return f"{value * 100:.4g} %"
    return format_number(value)
