"""The samples of a whole run, in memory that does not grow with its length.

Samples of the last seconds are kept as workers send them, by bin. Then they are folded, each into two places:

- the *totals* of its metric and tags, by phase and by level of the generator's health. Thresholds and figures
  of the whole run are made from these, so they are as exact after a day as after a second: a phase begins
  where it begins, and seconds that are useless for a threshold are kept apart.
- the *history* of its metric, all tags together, by interval. An interval is a second in the first 12
  minutes; when there are more than 750, they are joined to longer ones, which loses nothing but when it was.
"""

from __future__ import annotations

import copy
import math
import zlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from typing_extensions import override

from rtcli.load.metrics.histogram import INDEX_BITS, Histogram
from rtcli.load.metrics.store import Bins, Key, MetricStore

MAX_INTERVALS = 750  # so a day has rows of 2 minutes
RECENT_S = 10.0  # samples of so long ago still come, and whether a second was good is known by then
STEPS = (1, 5, 10, 30, 60, 120, 600, 3_600, 86_400)
"""Lengths of intervals in seconds. Each is a multiple of the one before, so that intervals can be joined."""

_INDEX = (1 << INDEX_BITS) - 1
_TRENDS = 6  # with many samples in every interval
_BYTES_PER_INTERVAL = 8 * 1024  # of such a trend
_BYTES_PER_TOTAL = 96 * 1024  # of a trend with one set of tags in one phase
_BYTES_PER_SECOND = 128  # of the run: its bins, and the health and presence of each second
_CHUNK_BITS = 5
_IN_CHUNK = (1 << _CHUNK_BITS) - 1
_EMPTY = bytes(8 << _CHUNK_BITS)


def estimated_bytes(duration: float, *, phases: int, tag_sets: int) -> int:
    """The memory of a run's samples, with deliveries tagged in `tag_sets` ways and spread widely."""
    intervals = min(MAX_INTERVALS, math.ceil(duration)) * _TRENDS * _BYTES_PER_INTERVAL
    totals = phases * (2 * tag_sets + _TRENDS) * _BYTES_PER_TOTAL  # latency and service time
    return intervals + totals + math.ceil(duration) * _BYTES_PER_SECOND


class Counts:
    """Counts by bucket, in short arrays: less memory than a dictionary, since buckets are neighbours."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: dict[int, array[int]] = {}

    def add(self, index: int, count: int) -> None:
        """Add to the count of a bucket."""
        chunk = self._chunks.get(index >> _CHUNK_BITS)
        if chunk is None:
            chunk = self._chunks[index >> _CHUNK_BITS] = array("Q", _EMPTY)
        chunk[index & _IN_CHUNK] += count

    def items(self) -> Iterator[tuple[int, int]]:
        """Buckets with their counts."""
        for number, chunk in self._chunks.items():
            for place, count in enumerate(chunk, number << _CHUNK_BITS):
                if count:
                    yield place, count


class History:
    """The distribution of one metric in each interval: compressed as soon as the interval is over."""

    def __init__(self) -> None:
        self._open: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._closed: dict[int, bytes] = {}

    def add(self, start: int, index: int, count: int) -> None:
        """Add to the count of a bucket in the interval that starts at this second."""
        self._open[start][index] += count

    def close(self, before: float) -> None:
        """Compress the intervals that start before a time; one that is compressed already is joined."""
        for start in [start for start in self._open if start < before]:
            counts = self._open.pop(start)
            for index, count in _unpack(self._closed.get(start)):
                counts[index] += count
            self._closed[start] = _pack(counts)

    def join(self, step: int) -> None:
        """Join intervals to longer ones."""
        self.close(math.inf)
        joined: dict[int, list[bytes]] = {}
        for start, packed in self._closed.items():
            joined.setdefault(start // step * step, []).append(packed)
        self._closed.clear()
        for start, parts in joined.items():
            for part in parts:
                for index, count in _unpack(part):
                    self.add(start, index, count)
            self.close(math.inf)

    def starts(self) -> set[int]:
        """The starts of all intervals with samples."""
        return self._open.keys() | self._closed.keys()

    def items(self, start: int) -> Iterator[tuple[int, int]]:
        """The buckets of one interval with their counts; the same bucket may come twice."""
        yield from _unpack(self._closed.get(start))
        yield from self._open[start].items() if start in self._open else ()


def _pack(counts: Mapping[int, int]) -> bytes:
    """Buckets as distances from one to the next, then counts: about 3 bytes for each."""
    ordered = sorted(counts)
    distances = (after - before for before, after in zip([0, *ordered], ordered, strict=False))
    columns = array("H", distances).tobytes() + array("Q", map(counts.__getitem__, ordered)).tobytes()
    return zlib.compress(columns, 1)


def _unpack(packed: bytes | None) -> Iterator[tuple[int, int]]:
    if packed is None:
        return
    columns = zlib.decompress(packed)
    size = len(columns) // 10
    distances, counts = array("H", columns[: 2 * size]), array("Q", columns[2 * size :])
    index = 0
    for distance, count in zip(distances, counts, strict=True):
        index += distance
        yield index, count


class RunStore(MetricStore):
    """All samples of a run. `level_of` tells the level of the generator's health in a second: 0 is good."""

    def __init__(self, bins: Bins, level_of: Callable[[int], int] = lambda _second: 0) -> None:
        super().__init__(bins)
        self.step = STEPS[0]
        self._level_of = level_of
        self.max_level: int | None = None  # of seconds that this view shows; None: all
        self._totals: defaultdict[Key, defaultdict[tuple[str, int], Counts]] = defaultdict(
            lambda: defaultdict(Counts)
        )
        self._history: defaultdict[str, History] = defaultdict(History)

    # -- folding -------------------------------------------------------------------------------------------

    def fold(self, now: float) -> None:
        """Fold the samples that are not recent any more, at a time of the run; all of them at infinity."""
        until = now - RECENT_S
        self._lengthen(min(until, self.bins.end))
        end = self.bins.at(until) if until < self.bins.end else self.bins.end_key
        places: dict[int, tuple[tuple[str, int], int]] = {}
        for key, recorder in self._recorders.items():
            counts = recorder.counts
            old = [sample for sample in counts if sample < end]
            totals, history = self._totals[key], self._history[key[0]]
            for sample in old:
                place = places.get(sample >> INDEX_BITS)
                if place is None:
                    place = places[sample >> INDEX_BITS] = self._place(sample)
                group, start = place
                count = counts.pop(sample)
                totals[group].add(sample & _INDEX, count)
                history.add(start, sample & _INDEX, count)
        for history in self._history.values():
            history.close(until - self.step)

    def _place(self, sample: int) -> tuple[tuple[str, int], int]:
        second = self.bins.second(sample)
        return (self.bins.phase(sample), self._level_of(second)), second // self.step * self.step

    def _lengthen(self, seconds: float) -> None:
        """Make intervals long enough for a run of so many seconds."""
        step = next((step for step in STEPS if seconds <= step * MAX_INTERVALS), STEPS[-1])
        if step > self.step:
            self.step = step
            for history in self._history.values():
                history.join(step)

    # -- asking --------------------------------------------------------------------------------------------

    def within(self, level: int) -> RunStore:
        """A view of the same samples, but only of seconds up to a level of the generator's health."""
        view = copy.copy(self)
        view.max_level = level
        return view

    def _shows(self, level: int) -> bool:
        return self.max_level is None or level <= self.max_level

    @override
    def _cells(self, key: Key, phase: str | None) -> Iterator[tuple[int, int]]:
        for sample, count in self._recorders[key].counts.items():
            if (phase is None or self.bins.phase(sample) == phase) and self._shows(
                0 if self.max_level is None else self._level_of(self.bins.second(sample))
            ):
                yield sample & _INDEX, count
        for (name, level), total in self._totals[key].items() if key in self._totals else ():
            if (phase is None or name == phase) and self._shows(level):
                yield from total.items()

    def count_above(self, metric: str, index: int, counter: str) -> int:
        """Count a trend's samples above a bucket in a counter with the same tags; returns how many."""
        found = 0
        for tags in self.tag_sets(metric):
            own, other = (metric, tags), (counter, tags)
            target = self.recorder(counter, **dict(tags))
            for sample, count in self._recorders[own].counts.items():
                if sample & _INDEX > index:
                    target.add(sample >> INDEX_BITS << INDEX_BITS, count)
                    found += count
            for group, total in list(self._totals[own].items()) if own in self._totals else ():
                above = sum(count for place, count in total.items() if place > index)
                if above:
                    self._totals[other][group].add(0, above)
                    found += above
        return found

    def recent(self, metric: str, seconds: range) -> Histogram:
        """The samples of some of the last seconds; those before `RECENT_S` may be missing."""
        found = Histogram()
        for _, recorder in self._matching(metric, {}):
            for sample, count in recorder.counts.items():
                if self.bins.second(sample) in seconds:
                    found.add([(sample & _INDEX, count)])
        return found

    def intervals(self, metric: str) -> Iterator[tuple[int, Histogram]]:
        """The start of each interval with samples, in order, and its samples with any tags.

        One histogram is made at a time: those of a day would take gigabytes together.
        """
        history = self._history[metric] if metric in self._history else History()
        rest = self._recent_intervals(metric)
        for start in sorted(history.starts() | rest.keys()):
            histogram = Histogram(rest.get(start))
            histogram.add(history.items(start))
            yield start, histogram

    def _recent_intervals(self, metric: str) -> dict[int, dict[int, int]]:
        found: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        for _, recorder in self._matching(metric, {}):
            for sample, count in recorder.counts.items():
                found[self.bins.second(sample) // self.step * self.step][sample & _INDEX] += count
        return dict(found)

    def sums(self, metric: str) -> dict[int, int]:
        """The number of a metric's samples in each interval, by its start."""
        return {start: histogram.count for start, histogram in self.intervals(metric)}
