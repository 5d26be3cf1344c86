"""Distributions of times with 3 significant digits, in the bucket layout of HdrHistogram.

A value (whole microseconds) below 2 048 has a bucket of its own; above, each doubling is divided into 1 024
buckets. So a bucket is never wider than a thousandth of its value, and an hour takes 23 doublings. Histograms
of the same layout can be added without loss. Counts are kept in a dictionary, since a second of a run touches
few buckets; memory does not grow with the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

INDEX_BITS = 16  # an index fits, up to values of 2**53 µs
_HALF_BITS = 10
_WHOLE = 2048


def bucket_index(value: int) -> int:
    """The index of a value's bucket; values below 0 count as 0."""
    if value < _WHOLE:
        return max(value, 0)
    shift = value.bit_length() - _HALF_BITS - 1
    return (shift << _HALF_BITS) + (value >> shift)


def bucket_bounds(index: int) -> tuple[int, int]:
    """The lowest and the highest value that fall into the bucket."""
    if index < _WHOLE:
        return index, index
    shift = (index >> _HALF_BITS) - 1
    low = (index - (shift << _HALF_BITS)) << shift
    return low, low + (1 << shift) - 1


class Histogram:
    """Counts per bucket. Values go in as whole microseconds and come out as seconds."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def record(self, value: int, times: int = 1) -> None:
        """Count a value (µs) `times` times."""
        index = bucket_index(value)
        self.counts[index] = self.counts.get(index, 0) + times

    def add(self, counts: Iterable[tuple[int, int]]) -> None:
        """Add the counts of another histogram: pairs of bucket index and count."""
        own = self.counts
        for index, count in counts:
            own[index] = own.get(index, 0) + count

    def items(self) -> Iterator[tuple[int, int]]:
        """Buckets and their counts, lowest first."""
        return iter(sorted(self.counts.items()))

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float:
        """The average, with each value taken as the middle of its bucket; 0 without any."""
        total = self.count
        if not total:
            return 0.0
        return sum(sum(bucket_bounds(index)) * count for index, count in self.counts.items()) / (2e6 * total)

    @property
    def minimum(self) -> float:
        """The lowest value; 0 without any."""
        return bucket_bounds(min(self.counts))[0] / 1e6 if self.counts else 0.0

    @property
    def maximum(self) -> float:
        """The highest value; 0 without any."""
        return bucket_bounds(max(self.counts))[1] / 1e6 if self.counts else 0.0

    def percentile(self, percent: float) -> float:
        """The value at or below which `percent` (0 to 100) of the values lie; 0 without any."""
        total = self.count
        if not total:
            return 0.0
        wanted = max(1, min(total, _ceiling(percent * total)))
        for index, count in self.items():
            wanted -= count
            if wanted <= 0:
                return bucket_bounds(index)[1] / 1e6
        return self.maximum

    def spectrum(self, percents: Iterable[float]) -> list[tuple[float, float]]:
        """Pairs of percent and value, for plots."""
        return [(percent, self.percentile(percent)) for percent in percents]


def _ceiling(hundredths: float) -> int:
    """`percent * total / 100`, rounded up; a hair above a whole number is rounding noise."""
    share = hundredths / 100
    whole = int(share)
    return whole if share - whole < 1e-9 * max(share, 1.0) else whole + 1
