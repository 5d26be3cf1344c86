"""Sizes, rates and shares as people write them, and values of metrics for people."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from rtcli.load.metrics.names import Unit
from rtcli.units import SECONDS_PER_UNIT

_BYTES = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(B|KB|MB|GB|KiB|MiB|GiB)?", re.ASCII)
_SIZES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?/ ?(s|m|h)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?%", re.ASCII)


def parse_bytes(text: str) -> float:
    """`2KiB`, `1.5MB`, `512` in bytes. Raises ValueError."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 512, 2KiB or 1MB")
    return float(match[1]) * _SIZES[match[2] or ""]


def parse_byte_rate(text: str) -> float:
    """`2KiB/s` in bytes per second. Raises ValueError."""
    if not text.endswith("/s"):
        raise ValueError(f"{text!r} is not a read rate: write 2KiB/s")
    return parse_bytes(text[:-2].rstrip())


def parse_rate(text: str) -> float:
    """`2/s`, `30/m`, `100/h` per second. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        number = re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII)
        raise ValueError(f"{text!r} is not a rate: write {f'{text}/s' if number else '2/s or 30/m'}")
    return float(match[1]) / SECONDS_PER_UNIT[match[2]]


def parse_percent(text: str) -> float:
    """`50%` as 0.5. Raises ValueError."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a percentage: write 50%")
    return float(match[1]) / 100


def format_seconds(seconds: float) -> str:
    """`43 µs`, `7.25 ms`, `1.5 s`, `2 min 5 s`."""
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


def format_value(value: float, unit: Unit) -> str:
    """A value of a metric, with its unit, for people."""
    if unit is Unit.SECONDS:
        return format_seconds(value)
    if unit is Unit.BYTES:
        return format_bytes(value)
    if unit is Unit.RATIO:
        return f"{value * 100:.4g} %"
    return format_number(value)


def closest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'join'?` when one of the known words is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
