"""The samples of a run by metric, tags and time: cheap to record, mergeable, read by thresholds and reports.

A sample falls into a *bin*, which is a second of one phase. The *key* of a bin is its number shifted left by
`INDEX_BITS`, so that the index of a histogram's bucket fits below. A recorder is looked up once per user and
set of tags (`MetricStore.recorder`) and then only counts: `counts[bin_key + bucket_index(value)] += 1`.
Workers hand over their counts with `drain`, and the coordinator adds them with `merge`: nothing is lost or
rounded on the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from rtcli.load.metrics.histogram import INDEX_BITS, Histogram, bucket_bounds, bucket_index
from rtcli.load.metrics.names import METRICS

Tags = tuple[tuple[str, str], ...]
Key = tuple[str, Tags]
Snapshot = dict[Key, dict[int, int]]
_INDEX = (1 << INDEX_BITS) - 1
_LAG_BITS = 10
_LAG = (1 << _LAG_BITS) - 1
_LAG_STEPS = 16  # in each doubling: the lag is known to 3 %
_SLICE = 4_000


class Bins:
    """Divides the time of a run into bins: whole seconds, divided again where a phase begins.

    `phases` are names and lengths in seconds. Times after the end belong to the last phase; there are bins
    for `slack` seconds of them, for messages that arrive while the run settles.
    """

    def __init__(self, phases: Sequence[tuple[str, float]], *, slack: int = 120) -> None:
        names = [name for name, _ in phases]
        ends = list(accumulate(length for _, length in phases))
        marks = {float(second) for second in range(int(ends[-1]) + slack)}
        self._starts = sorted(marks.union(ends[:-1]))
        self._phases = [names[min(bisect_right(ends, start), len(names) - 1)] for start in self._starts]

    @property
    def end(self) -> float:
        """The time at which the last bin begins."""
        return self._starts[-1]

    @property
    def end_key(self) -> int:
        """A key above those of all bins."""
        return len(self._starts) << INDEX_BITS

    def at(self, seconds: float) -> int:
        """The key of the bin that a time falls into; `seconds` since the start of the run."""
        return (bisect_right(self._starts, seconds) - 1 if seconds > 0 else 0) << INDEX_BITS

    def phase(self, key: int) -> str:
        """The name of the phase that a bin belongs to; `key` of the bin or of a sample in it."""
        return self._phases[key >> INDEX_BITS]

    def second(self, key: int) -> int:
        """The second of the run that a bin lies in; `key` of the bin or of a sample in it."""
        return int(self._starts[key >> INDEX_BITS])


class Recorder:
    """Counts samples of one metric with one set of tags, by bin key plus bucket index."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)

    def record(self, bin_key: int, microseconds: int) -> None:
        """Record a sample of a trend."""
        self.counts[bin_key + bucket_index(microseconds)] += 1

    def add(self, bin_key: int, amount: int = 1) -> None:
        """Add to a counter."""
        self.counts[bin_key] += amount

    def check(self, bin_key: int, *, good: bool) -> None:
        """Record a sample of a rate: in bucket 1 when it is good, in bucket 0 when not."""
        self.counts[bin_key + good] += 1


def delivery_key(bin_key: int, lag: int) -> int:
    """The key of deliveries of a message that was due in a bin and sent `lag` µs late, without their bucket.

    Latency counts from when the message was due, service time from when it was sent. The lag is the same for
    all receivers of a message, so it is part of the key (in steps, so that messages share keys), and one
    count per delivery serves both metrics.
    """
    step = max(lag, 0)
    if step >= 2 * _LAG_STEPS:
        shift = step.bit_length() - _LAG_STEPS.bit_length()
        step = shift * _LAG_STEPS + (step >> shift)
    return (((bin_key >> INDEX_BITS) << _LAG_BITS) | min(step, _LAG)) << INDEX_BITS


def lag_of_delivery(key: int) -> int:
    """The lag (µs) in a delivery key: the middle of its step."""
    step = key >> INDEX_BITS & _LAG
    if step < 2 * _LAG_STEPS:
        return step
    shift = step // _LAG_STEPS - 1
    return ((step - shift * _LAG_STEPS) << shift) + (1 << shift >> 1)


def bin_key_of_delivery(key: int) -> int:
    """The key of the bin that a delivery key belongs to."""
    return key >> (INDEX_BITS + _LAG_BITS) << INDEX_BITS


class MetricStore:
    """The samples of a worker since its last `drain`. A `thresholds.MetricView`, as is the store of a run."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self._recorders: dict[Key, Recorder] = {}
        self._gauges: dict[Key, int] = {}
        self._deliveries: dict[tuple[bool, Tags], defaultdict[int, int]] = {}

    def recorder(self, metric: str, **tags: str) -> Recorder:
        """The recorder of a metric with these tags (never `phase`, which follows from the bin).

        Raises KeyError when there is no such metric.
        """
        key = (metric, tuple(sorted(tags.items())))
        found = self._recorders.get(key)
        if found is None:
            if metric not in METRICS:
                msg = f"there is no metric {metric!r}"
                raise KeyError(msg)
            found = self._recorders[key] = Recorder()
        return found

    def deliveries(self, *, websocket: bool, **tags: str) -> defaultdict[int, int]:
        """The counts of deliveries, by `delivery_key` plus bucket of their latency.

        Deliveries over WebSockets count as messages received, too.
        """
        return self._deliveries.setdefault((websocket, tuple(sorted(tags.items()))), defaultdict(int))

    def split_deliveries(self) -> Iterator[None]:
        """Turn deliveries into samples of `fanout_latency` and `fanout_service`; yields every 4 000 keys."""
        for (websocket, tags), counts in self._deliveries.items():
            taken = list(counts.items())
            counts.clear()
            latency = self.recorder("fanout_latency", **dict(tags)).counts
            service = self.recorder("fanout_service", **dict(tags)).counts
            frames = self.recorder("ws_msgs_received", **dict(tags)).counts if websocket else None
            for number, (key, count) in enumerate(taken):
                bin_key, index = bin_key_of_delivery(key), key & _INDEX
                latency[bin_key + index] += count
                if frames is not None:
                    frames[bin_key] += count
                middle = sum(bucket_bounds(index)) >> 1
                service[bin_key + bucket_index(middle - lag_of_delivery(key))] += count
                if number % _SLICE == _SLICE - 1:
                    yield

    def gauge(self, metric: str, value: int, **tags: str) -> None:
        """Set a gauge."""
        self._gauges[metric, tuple(sorted(tags.items()))] = value

    # -- merging -------------------------------------------------------------------------------------------

    def drain(self) -> Snapshot:
        """Take out everything that was counted since the last `drain`."""
        for _ in self.split_deliveries():
            pass
        taken: Snapshot = {}
        for key, recorder in self._recorders.items():
            if recorder.counts:
                taken[key] = dict(recorder.counts)
                recorder.counts.clear()
        return taken

    def merge(self, snapshot: Snapshot) -> None:
        """Add what another store drained."""
        for (metric, tags), counts in snapshot.items():
            own = self.recorder(metric, **dict(tags)).counts
            for key, count in counts.items():
                own[key] += count

    # -- asking --------------------------------------------------------------------------------------------

    def _matching(self, metric: str, tags: Mapping[str, str]) -> Iterable[tuple[Key, Recorder]]:
        wanted = {item for item in tags.items() if item[0] != "phase"}
        for key, recorder in self._recorders.items():
            if key[0] == metric and wanted.issubset(key[1]):
                yield key, recorder

    def _cells(self, key: Key, phase: str | None) -> Iterator[tuple[int, int]]:
        """Buckets and counts of one metric with one set of tags, in one phase or in all."""
        for sample, count in self._recorders[key].counts.items():
            if phase is None or self.bins.phase(sample) == phase:
                yield sample & _INDEX, count

    def _samples(self, metric: str, tags: Mapping[str, str]) -> dict[int, int] | None:
        """Counts by bucket of all matching samples; None when there is no matching recorder."""
        phase = tags.get("phase")
        counts: dict[int, int] | None = None
        for key, _ in self._matching(metric, tags):
            counts = {} if counts is None else counts
            for index, count in self._cells(key, phase):
                counts[index] = counts.get(index, 0) + count
        return counts

    def trend(self, metric: str, tags: Mapping[str, str]) -> Histogram | None:
        """The samples of a trend; None without any."""
        counts = self._samples(metric, tags)
        return Histogram(counts) if counts else None

    def count(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The sum of a counter; None when it was never counted."""
        counts = self._samples(metric, tags)
        return float(sum(counts.values())) if counts else None

    def rate(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The share of good samples; None without samples."""
        counts = self._samples(metric, tags)
        total = sum(counts.values()) if counts else 0
        return counts.get(1, 0) / total if counts and total else None

    def value(self, metric: str, tags: Mapping[str, str]) -> float | None:
        """The last value of a gauge, summed over workers."""
        values = [
            value
            for (name, own), value in self._gauges.items()
            if name == metric and {item for item in tags.items() if item[0] != "phase"}.issubset(own)
        ]
        return float(sum(values)) if values else None

    def tag_sets(self, metric: str) -> list[Tags]:
        """The sets of tags that a metric was recorded with."""
        return [tags for name, tags in self._recorders if name == metric]
