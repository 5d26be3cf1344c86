"""Durations as people write them, and back: one set of spellings for options and scenarios. Pure."""

from __future__ import annotations

import math
import re

SECONDS_PER_UNIT = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION_PATTERN = rf"^\d+(\.\d+)? ?({'|'.join(SECONDS_PER_UNIT)})$"  # for the JSON schema of scenarios

_DURATION = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?) ?({'|'.join(SECONDS_PER_UNIT)})", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Read `20us`, `500ms`, `10s`, `1.5 s`, `2m`, `1.5h`, `7d` into seconds.

    Raises ValueError that says what is expected.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        example = f"{text}s" if _NUMBER.fullmatch(text) else "500ms, 10s, 2m"
        raise ValueError(f"{text!r} is not a duration: write {example}")
    return float(match[1]) * SECONDS_PER_UNIT[match[2]]


def format_duration(seconds: float) -> str:
    """Write seconds for a person: `0.7 s`, `3 s`, `2 min 5 s`, `forever`."""
    if math.isinf(seconds):
        return "forever"
    if seconds < 1:
        return f"{seconds:.1f} s" if seconds >= 0.05 else f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
