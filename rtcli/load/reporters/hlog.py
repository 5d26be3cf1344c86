"""`samples.hlog`: the distributions of a run, interval by interval, as an HdrHistogram log (1.3, tagged).

HdrHistogram's own tools read it. Our histograms have its bucket layout (3 significant digits, lowest value
1 µs), so they only need encoding: V2 payload, runs of zeros folded, compressed, base64.
"""

from __future__ import annotations

import base64
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
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
    """A source of a metric's samples, interval by interval."""

    @property
    def step(self) -> int:
        """The length of an interval, in seconds."""
        ...

    def intervals(self, metric: str) -> Iterable[tuple[int, Buckets]]:
        """The start of each interval, in order, and its histogram."""
        ...


def intervals(store: Distributions, metrics: Sequence[str]) -> Iterator[Interval]:
    """Each interval in which a metric has samples: a second, or more in a long run."""
    for metric in metrics:
        for start, histogram in store.intervals(metric):
            yield Interval(metric, float(start), float(store.step), histogram)


def render(started: float, found: Iterable[Interval]) -> str:
    """The log of a run that began at `started` (unix time)."""
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))
    lines = [
        "#[Logged by rtcli loadtest; values in microseconds]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {started:.3f} (seconds since epoch), {date}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    logged = sorted(((interval.start, _line(started, interval)) for interval in found), key=itemgetter(0))
    return "\n".join([*lines, *(line for _, line in logged)]) + "\n"


def _line(started: float, interval: Interval) -> str:
    at, highest = started + interval.start, interval.histogram.maximum * 1000
    times = f"{at:.3f},{interval.length:.3f},{highest:.3f}"
    return f"Tag={_tag(interval.tag)},{times},{encode(interval.histogram)}"


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
