"""`samples.hlog`: the distributions of a run, second by second, as an HdrHistogram log (1.3, tagged).

HdrHistogram's own tools read it. Our histograms have its bucket layout (3 significant digits, lowest value
1 µs), so they only need encoding: V2 payload, runs of zeros folded, compressed, base64.
"""

from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_COOKIE = 0x1C849313  # V2, word size 1
_COMPRESSED = 0x1C849314
_HIGHEST = 3_600_000_000  # an hour in µs; what is longer still has its bucket


class Buckets(Protocol):
    """A histogram: pairs of bucket and count, lowest bucket first; the highest value in seconds."""

    def items(self) -> Iterator[tuple[int, int]]:
        """Buckets and counts."""
        ...

    @property
    def maximum(self) -> float:
        """The highest value, in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """The samples of one metric in one interval; `start` in seconds since the start of the run."""

    tag: str
    start: float
    length: float
    histogram: Buckets


class Distributions(Protocol):
    """A source of a metric's samples, second by second."""

    def by_second(self, metric: str, tags: Mapping[str, str] | None = None) -> Mapping[int, Buckets]:
        """Histograms by the second of the run."""
        ...


def intervals(store: Distributions, metrics: Sequence[str]) -> list[Interval]:
    """An interval for each second in which a metric has samples."""
    return [
        Interval(metric, float(second), 1.0, histogram)
        for metric in metrics
        for second, histogram in sorted(store.by_second(metric).items())
    ]


def render(started: float, found: Iterable[Interval]) -> str:
    """The log of a run that began at `started` (unix time)."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    lines = [
        "#[Logged by rtcli loadtest; values in microseconds]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {started:.3f} (seconds since epoch), {date}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for interval in sorted(found, key=lambda each: each.start):
        times = (
            f"{started + interval.start:.3f},{interval.length:.3f},{interval.histogram.maximum * 1000:.3f}"
        )
        lines.append(f"Tag={_tag(interval.tag)},{times},{encode(interval.histogram)}")
    return "\n".join(lines) + "\n"


def _tag(text: str) -> str:
    """Make a text fit for a tag: the log's fields end at commas, and its tags at white space."""
    return "".join("_" if character in ", \r\n\t" else character for character in text)


def encode(histogram: Buckets) -> str:
    """One histogram in the compressed V2 encoding, as base64 text."""
    payload = bytearray()
    expected = 0
    for index, count in histogram.items():
        if index > expected:
            payload += _zigzag(expected - index)  # a negative count is a run of that many empty buckets
        payload += _zigzag(count)
        expected = index + 1
    header = struct.pack(">iiiiqqd", _COOKIE, len(payload), 0, 3, 1, _HIGHEST, 1.0)
    compressed = zlib.compress(header + bytes(payload))
    return base64.b64encode(struct.pack(">ii", _COMPRESSED, len(compressed)) + compressed).decode("ascii")


def _zigzag(value: int) -> bytes:
    """ZigZag LEB128 as HdrHistogram defines it: at most nine bytes, the ninth with all eight bits."""
    rest = (value << 1) ^ (value >> 63) if value >= 0 else ((-value) << 1) - 1
    encoded = bytearray()
    for _ in range(8):
        if rest < 0x80:
            encoded.append(rest)
            return bytes(encoded)
        encoded.append((rest & 0x7F) | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
