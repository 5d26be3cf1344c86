"""Whether the load generator itself was the bottleneck, second by second.

A second is flagged when a worker was late in it by more than a threshold can bear: its messages left late, or
its event loop was late, so that what arrived waited to be read. A receiver's lateness counts like a sender's.
What took the time is told where it is known: the hypervisor, or a quota of the control group.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from enum import IntEnum

from rtcli.load.metrics.formatting import format_seconds
from rtcli.load.metrics.histogram import INDEX_BITS, Histogram
from rtcli.load.metrics.names import METRICS, Unit
from rtcli.load.metrics.store import Bins, Snapshot
from rtcli.load.run.health.processor_time import TakenTime
from rtcli.load.scenario.model import ThresholdSpec

PROBE_S = 0.01  # between two probes of an event loop
MIN_LAG_S = 0.010
LAG_SHARE = 0.1  # of a threshold
DEFAULT_LIMIT_S = 0.1  # without a threshold on a time
MAX_CPU = 0.9
MAX_TAKEN = 0.1  # share of the time of the processors
_LOOKBACK = 10.0  # times the length of a stall, at most a second: what had been sent before it waited, too
_WINDOW = 5  # seconds for which samples of a second may still come
_INDEX = (1 << INDEX_BITS) - 1


def lag_limit(spec: ThresholdSpec) -> float | None:
    """The lateness (p99, seconds) above which a second is useless for a threshold; None: not on a time."""
    if METRICS[spec.metric].unit is not Unit.SECONDS:
        return None
    return max(MIN_LAG_S, LAG_SHARE * spec.bound)


def lag_limits(specs: Sequence[ThresholdSpec]) -> list[float]:
    """The limits of all thresholds, tightest first; a default of 100 ms without any."""
    limits = {limit for spec in specs if (limit := lag_limit(spec)) is not None}
    return sorted(limits) or [DEFAULT_LIMIT_S]


def stall_limit(specs: Sequence[ThresholdSpec]) -> float:
    """From what length on (seconds) a standstill of an event loop counts as a stall: over two probes."""
    return max(2 * PROBE_S, lag_limits(specs)[0])


class StallCause(IntEnum):
    """Why a second is flagged."""

    NONE = 0
    SENDS = 1
    LOOP = 2
    STALL = 3
    CPU = 4
    STOLEN = 5
    THROTTLED = 6


_TIMES = {
    StallCause.SENDS: "messages left {} late (p99)",
    StallCause.LOOP: "the event loop of a worker was {} late (p99)",
    StallCause.STALL: "the event loop of a worker stood still for {}",
    StallCause.THROTTLED: "a quota held processes back for {}",
}
_SHARES = {
    StallCause.CPU: "a worker used {} of its core",
    StallCause.STOLEN: "the hypervisor took {} of the processors",
}
_LATENESS = {"schedule_lag": StallCause.SENDS, "loop_lag": StallCause.LOOP}


class Health:
    """The health of the load generator, by second of the run: 25 bytes for each.

    `limits` are those of the thresholds, tightest first. Of each second the worst lateness of any worker is
    kept; what makes a second useless for every threshold, such as a busy core, counts as endless lateness.
    """

    def __init__(self, limits: Sequence[float], bins: Bins, *, cores: int = 1) -> None:
        self.limits = limits
        self.stalls = 0
        self.stolen = 0.0  # seconds, of all processors
        self.throttled = 0.0
        self._bins = bins
        self._cores = cores
        self._lateness = array("d")
        self._values = array("d")
        self._causes = bytearray()
        self._stolen = array("f")
        self._throttled = array("f")
        self._recent: defaultdict[tuple[int, str], dict[int, Histogram]] = defaultdict(dict)
        self._taken: dict[int, TakenTime] = {}  # by worker: each tells that of the whole machine

    def _extend(self, second: int) -> None:
        """Make room for a second."""
        missing = second + 1 - len(self._causes)
        if missing > 0:
            for column in (self._lateness, self._values, self._stolen, self._throttled):
                column.extend([0.0] * missing)
            self._causes.extend(bytes(missing))

    def _record(self, second: int, cause: StallCause, value: float, *, lateness: float) -> None:
        self._extend(second)
        if lateness > self._lateness[second]:
            self._lateness[second], self._values[second] = lateness, value
            self._causes[second] = cause

    def add_stall(self, start: float, end: float) -> None:
        """Record that a worker's event loop stood still; messages that were sent just before waited, too."""
        self.stalls += 1
        length = end - start
        for second in range(max(0, int(start - min(1.0, _LOOKBACK * length))), max(0, int(end)) + 1):
            self._record(second, StallCause.STALL, length, lateness=length)

    def add_cpu_share(self, second: int, share: float) -> None:
        """Record the share of a core that a worker used in a second."""
        if share > MAX_CPU:
            self._record(second, StallCause.CPU, share, lateness=math.inf)

    def add_taken(self, worker: int, second: int, taken: TakenTime) -> None:
        """Record the processor time that was taken away in a second, as a worker has read it."""
        before = self._taken.get(worker, TakenTime(0.0, 0.0))
        total = TakenTime(before.stolen + taken.stolen, before.throttled + taken.throttled)
        self._taken[worker] = total
        self.stolen = max(self.stolen, total.stolen)
        self.throttled = max(self.throttled, total.throttled)
        self._extend(second)
        self._stolen[second] = max(self._stolen[second], taken.stolen / self._cores)
        self._throttled[second] = max(self._throttled[second], taken.throttled)
        if taken.stolen > MAX_TAKEN * self._cores:
            self._record(second, StallCause.STOLEN, taken.stolen / self._cores, lateness=math.inf)
        if taken.throttled > MAX_TAKEN:
            self._record(second, StallCause.THROTTLED, taken.throttled, lateness=math.inf)

    def add_samples(self, worker: int, samples: Snapshot) -> None:
        """Record how late a worker's sends and its event loop were, each second by the samples of it."""
        for (metric, _tags), counts in samples.items():
            if metric in _LATENESS:
                recent = self._recent[worker, metric]
                for key, count in counts.items():
                    histogram = recent.setdefault(self._bins.second(key), Histogram())
                    histogram.add([(key & _INDEX, count)])
        self._judge(worker, all_seconds=False)

    def finish(self) -> None:
        """Judge the last second of each worker, too: no more samples of it will come."""
        for worker in {worker for worker, _ in self._recent}:
            self._judge(worker, all_seconds=True)

    def _judge(self, worker: int, *, all_seconds: bool) -> None:
        """Judge the seconds that are complete, and those that got samples again."""
        for metric, cause in _LATENESS.items():
            recent = self._recent[worker, metric]
            newest = max(recent, default=0)
            for second in sorted(recent):
                if second < newest or all_seconds:
                    late = recent[second].percentile(99)
                    self._record(second, cause, late, lateness=late)
                if second < newest - _WINDOW:
                    del recent[second]

    def level(self, second: int) -> int:
        """The number of limits that a second is over: 0 is a good second for every threshold."""
        return bisect_left(self.limits, self._lateness[second]) if second < len(self._lateness) else 0

    @property
    def worst(self) -> int:
        """The highest level of any second."""
        return bisect_left(self.limits, max(self._lateness, default=0.0))

    def level_of(self, limit: float) -> int:
        """The highest level of seconds that are within a limit."""
        return bisect_left(self.limits, limit)

    def flagged(self, seconds: range) -> list[int]:
        """Those of some seconds that say nothing about the server, for the tightest threshold."""
        return [second for second in seconds if self.level(second)]

    def reason(self, second: int) -> str:
        """Why a second is flagged; "" when it is not."""
        if not self.level(second):
            return ""
        cause, value = StallCause(self._causes[second]), self._values[second]
        if cause is StallCause.THROTTLED:
            return _TIMES[cause].format(format_seconds(value))
        if cause in _TIMES:
            return _TIMES[cause].format(format_seconds(value)) + self._because(second, value)
        return _SHARES[cause].format(f"{value * 100:.0f} %")

    def _because(self, second: int, late: float) -> str:
        """Who took the processor time of a late second, if it was about as much as the second was late."""
        if self._throttled[second] >= late / 2:
            return f", held back by a quota for {format_seconds(self._throttled[second])}"
        if self._stolen[second] >= late / 2:
            return f", while the hypervisor took {self._stolen[second] * 100:.0f} % of the processors"
        return ""
