"""Durations, sizes, rates and shares as people write them, and back, for options and scenarios. Pure."""

from __future__ import annotations

import math
import re

SECONDS_PER_UNIT = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION_PATTERN = rf"^\d+(\.\d+)? ?({'|'.join(SECONDS_PER_UNIT)})$"  # for the JSON schema of scenarios

_DURATION = re.compile(rf"(\d{{1,9}}(?:\.\d{{1,9}})?) ?({'|'.join(SECONDS_PER_UNIT)})", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_BYTES = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(B|KB|MB|GB|KiB|MiB|GiB)?", re.ASCII)
_BYTES_PER_UNIT = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?/ ?(s|m|h)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?%", re.ASCII)


def parse_duration(text: str) -> float:
    """Read `20us`, `500ms`, `10s`, `1.5 s`, `2m`, `1.5h`, `7d` into seconds.

    Raises ValueError that says what is expected.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        example = f"{text}s" if _NUMBER.fullmatch(text) else "500ms, 10s, 2m"
        raise ValueError(f"{text!r} is not a duration: write {example}")
    return float(match[1]) * SECONDS_PER_UNIT[match[2]]


def parse_bytes(text: str) -> float:
    """`2KiB`, `1.5MB`, `512` in bytes. Raises ValueError."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 512, 2KiB or 1MB")
    return float(match[1]) * _BYTES_PER_UNIT[match[2] or ""]


def parse_byte_rate(text: str) -> float:
    """`2KiB/s` in bytes per second. Raises ValueError."""
    if not text.endswith("/s"):
        raise ValueError(f"{text!r} is not a read rate: write 2KiB/s")
    return parse_bytes(text[:-2].rstrip())


def parse_rate(text: str) -> float:
    """`2/s`, `30/m`, `100/h` per second. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        example = f"{text}/s" if _NUMBER.fullmatch(text) else "2/s or 30/m"
        raise ValueError(f"{text!r} is not a rate: write {example}")
    return float(match[1]) / SECONDS_PER_UNIT[match[2]]


def parse_percent(text: str) -> float:
    """`50%` as 0.5. Raises ValueError."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a percentage: write 50%")
    return float(match[1]) / 100


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


def format_bytes(size: float) -> str:
    """`512 B`, `1.5 KiB`, `2.3 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}" if size % 1 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def format_number(value: float) -> str:
    """`41 837`, `0.25`: thousands apart, so that large counts can be read."""
    if value == int(value):
        return f"{int(value):,}".replace(",", " ")
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")
