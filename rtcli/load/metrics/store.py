"""What a run measures: samples by metric, tags and moment, cheap to take, mergeable, asked by thresholds.

The moment of a sample is its *bin*: a second of one phase. A recorder is looked up once per user and tag set
(`MetricStore.trend`) and then only counts: `recorder.counts[bin + bucket_index(value)] += 1`, where a bin is
its number shifted by `INDEX_BITS`. Workers give away what they have counted with `drain`, the main process
takes it in with `merge`, and nothing is lost or rounded on the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    """Cuts the time of a run into bins: whole seconds, cut again where a phase begins.

    Moments after the end belong to the last phase and get bins of a second for as long as `slack` says, so
    that what arrives while the run settles has its place.
    """

    def __init__(self, phases: Sequence[tuple[str, float]], *, slack: int = 120) -> None:
        names = [name for name, _ in phases]
        ends = list(accumulate(length for _, length in phases))
        self.duration = ends[-1]
        marks = {float(second) for second in range(int(self.duration) + slack)}
        self._starts = sorted(marks.union(ends[:-1]))
        self._phases = [names[min(bisect_right(ends, start), len(names) - 1)] for start in self._starts]

    def at(self, seconds: float) -> int:
        """The bin, already shifted, of a moment in seconds since the start."""
        return (bisect_right(self._starts, seconds) - 1 if seconds > 0 else 0) << INDEX_BITS

    def phase(self, key: int) -> str:
        """The phase of a bin, or of a sample's key."""
        return self._phases[key >> INDEX_BITS]

    def second(self, key: int) -> int:
        """The second of the run in which the bin lies."""
        return int(self._starts[key >> INDEX_BITS])


class Recorder:
    """Counts samples of one metric with one set of tags. Keys are bin (shifted) plus bucket."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)

    def record(self, moment: int, microseconds: int) -> None:
        """Take a sample of a trend at a bin."""
        self.counts[moment + bucket_index(microseconds)] += 1

    def add(self, moment: int, amount: int = 1) -> None:
        """Raise a counter."""
        self.counts[moment] += amount

    def check(self, moment: int, *, good: bool) -> None:
        """Count a sample of a rate: bucket 1 for good, 0 for bad."""
        self.counts[moment + good] += 1


def delivery_moment(moment: int, lag: int) -> int:
    """The key of deliveries of a message that was due in a bin and left `lag` µs late, without their bucket.

    Latency is counted from when the message was due, service from when it left. The lag is the same for all
    receivers of a message, so it goes into the key (in steps, so that messages share keys), and one count per
    delivery serves both.
    """
    step = max(lag, 0)
    if step >= 2 * _LAG_STEPS:
        shift = step.bit_length() - _LAG_STEPS.bit_length()
        step = shift * _LAG_STEPS + (step >> shift)
    return (((moment >> INDEX_BITS) << _LAG_BITS) | min(step, _LAG)) << INDEX_BITS


def lag_of_delivery(key: int) -> int:
    """The lag in such a key: the middle of its step."""
    step = key >> INDEX_BITS & _LAG
    if step < 2 * _LAG_STEPS:
        return step
    shift = step // _LAG_STEPS - 1
    return ((step - shift * _LAG_STEPS) << shift) + (1 << shift >> 1)


def moment_of_delivery(key: int) -> int:
    """The bin, shifted, of such a key."""
    return key >> (INDEX_BITS + _LAG_BITS) << INDEX_BITS


class MetricStore:
    """All samples of a run, or of a worker since it last gave them away. A `thresholds.MetricView`."""

    def __init__(self, bins: Bins, exclude: Callable[[int], bool] | None = None) -> None:
        self.bins = bins
        self._recorders: dict[Key, Recorder] = {}
        self._gauges: dict[Key, int] = {}
        self._deliveries: dict[tuple[bool, Tags], defaultdict[int, int]] = {}
        self._excluded = exclude  # of a second: whether its samples are to be left out

    def recorder(self, metric: str, **tags: str) -> Recorder:
        """The recorder of a metric with these tags (never `phase`: that follows from the moment)."""
        key = (metric, tuple(sorted(tags.items())))
        found = self._recorders.get(key)
        if found is None:
            if metric not in METRICS:
                msg = f"there is no metric {metric!r}"
                raise KeyError(msg)
            found = self._recorders[key] = Recorder()
        return found

    def deliveries(self, *, websocket: bool, **tags: str) -> defaultdict[int, int]:
        """Where deliveries are counted, by `delivery_moment` plus bucket of their latency.

        Those over WebSockets count as messages received, too.
        """
        return self._deliveries.setdefault((websocket, tuple(sorted(tags.items()))), defaultdict(int))

    def split_deliveries(self) -> Iterator[None]:
        """Turn deliveries into samples of `fanout_latency` and `fanout_service`; stops now and then."""
        for (websocket, tags), counts in self._deliveries.items():
            taken = list(counts.items())
            counts.clear()
            latency = self.recorder("fanout_latency", **dict(tags)).counts
            service = self.recorder("fanout_service", **dict(tags)).counts
            frames = self.recorder("ws_msgs_received", **dict(tags)).counts if websocket else None
            for number, (key, count) in enumerate(taken):
                moment, index = moment_of_delivery(key), key & _INDEX
                latency[moment + index] += count
                if frames is not None:
                    frames[moment] += count
                middle = sum(bucket_bounds(index)) >> 1
                service[moment + bucket_index(middle - lag_of_delivery(key))] += count
                if number % _SLICE == _SLICE - 1:
                    yield

    def gauge(self, metric: str, value: int, **tags: str) -> None:
        """Set a gauge."""
        self._gauges[metric, tuple(sorted(tags.items()))] = value

    # -- merging -------------------------------------------------------------------------------------------

    def drain(self) -> Snapshot:
        """Give away what was counted since the last time."""
        for _ in self.split_deliveries():
            pass
        taken: Snapshot = {}
        for key, recorder in self._recorders.items():
            if recorder.counts:
                taken[key] = dict(recorder.counts)
                recorder.counts.clear()
        return taken

    def merge(self, snapshot: Snapshot) -> None:
        """Take in what another store gave away."""
        for (metric, tags), counts in snapshot.items():
            own = self.recorder(metric, **dict(tags)).counts
            for key, count in counts.items():
                own[key] += count

    def without(self, seconds: set[int]) -> MetricStore:
        """A view of the same samples that leaves out some seconds."""
        view = MetricStore(self.bins, seconds.__contains__)
        view._recorders, view._gauges = self._recorders, self._gauges
        return view

    # -- asking --------------------------------------------------------------------------------------------

    def keys(self) -> list[tuple[str, Mapping[str, str]]]:
        """Every metric and tag set that has a recorder."""
        return [(metric, dict(tags)) for metric, tags in self._recorders]

    def _matching(self, metric: str, tags: Mapping[str, str]) -> Iterable[Recorder]:
        wanted = {item for item in tags.items() if item[0] != "phase"}
        for (name, own), recorder in self._recorders.items():
            if name == metric and wanted.issubset(own):
                yield recorder

    def _samples(self, metric: str, tags: Mapping[str, str]) -> dict[int, int] | None:
        """Counts by bucket of all matching samples; None when nothing like it was ever recorded."""
        phase = tags.get("phase")
        counts: dict[int, int] | None = None
        for recorder in self._matching(metric, tags):
            counts = {} if counts is None else counts
            for key, count in recorder.counts.items():
                if phase is not None and self.bins.phase(key) != phase:
                    continue
                if self._excluded is not None and self._excluded(self.bins.second(key)):
                    continue
                index = key & _INDEX
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

    def by_second(self, metric: str, tags: Mapping[str, str] | None = None) -> dict[int, Histogram]:
        """The samples of a trend, by second."""
        seconds: dict[int, Histogram] = {}
        for recorder in self._matching(metric, tags or {}):
            for key, count in recorder.counts.items():
                histogram = seconds.setdefault(self.bins.second(key), Histogram())
                histogram.add([(key & _INDEX, count)])
        return seconds

    def sums_by_second(self, metric: str, tags: Mapping[str, str] | None = None) -> dict[int, int]:
        """What a counter rose by in each second."""
        sums: dict[int, int] = {}
        for recorder in self._matching(metric, tags or {}):
            for key, count in recorder.counts.items():
                second = self.bins.second(key)
                sums[second] = sums.get(second, 0) + count
        return sums

    def tag_sets(self, metric: str) -> list[Tags]:
        """The tag sets with which a metric was recorded."""
        return [tags for name, tags in self._recorders if name == metric]
