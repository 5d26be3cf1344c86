"""Whether the load generator itself was the bottleneck, second by second."""

from __future__ import annotations

from collections.abc import Mapping

from rtcli.load.metrics.formatting import format_seconds
from rtcli.load.metrics.names import METRICS, Unit
from rtcli.load.metrics.store import MetricStore
from rtcli.load.scenario.model import ThresholdSpec

MIN_LAG_S = 0.010
LAG_SHARE = 0.1  # of a threshold
MAX_CPU = 0.9


def lag_limit(spec: ThresholdSpec | None) -> float:
    """The schedule lag (p99, seconds) from which on a second says nothing about a threshold."""
    if spec is None or METRICS[spec.metric].unit is not Unit.SECONDS:
        return MIN_LAG_S
    return max(MIN_LAG_S, LAG_SHARE * spec.bound)


class Health:
    """The health of the load generator, by second of the run."""

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}
        self.stalls = 0

    def add_stall(self, start: float, end: float) -> None:
        """Record that a worker's event loop stood still; messages of the second before may have waited."""
        self.stalls += 1
        for second in range(max(0, int(start) - 1), int(end) + 1):
            self._reasons.setdefault(second, f"the event loop stood still for {format_seconds(end - start)}")

    def add_cpu_share(self, second: int, share: float) -> None:
        """Record the share of a core that a worker used in a second."""
        if share > MAX_CPU:
            self._reasons.setdefault(second, f"a worker used {share * 100:.0f} % of its core")

    def flagged(self, store: MetricStore, limit: float) -> Mapping[int, str]:
        """The seconds that say nothing about the server, each with the reason; `limit` is that of the lag."""
        reasons = dict(self._reasons)
        for second, lag in store.by_second("schedule_lag").items():
            late = lag.percentile(99)
            if late > limit:
                reasons.setdefault(second, f"messages left {format_seconds(late)} late (p99)")
        return reasons
