"""The timeline of a run: what was so in each of its seconds, or in each of longer intervals."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from rtcli.load.metrics.histogram import Histogram
from rtcli.load.results.kinds import KINDS
from rtcli.load.results.model import Second
from rtcli.load.run.coordinator import RunState
from rtcli.load.run.health.seconds import Health


def timeline(state: RunState, seconds: range) -> list[Second]:
    """A row for each interval of the run."""
    store = state.store
    latency, service, lag = (
        {start: _LatencyRow.of(samples) for start, samples in store.intervals(name)}
        for name in ("fanout_latency", "fanout_service", "schedule_lag")
    )
    bad: Counter[int] = Counter()
    for kind in KINDS:
        bad.update(store.sums(kind))
    nothing = _LatencyRow()
    rows = []
    for start in seconds[:: store.step]:
        row = range(start, min(start + store.step, seconds.stop))
        rows.append(
            Second(
                time=start,
                phase=store.bins.phase(store.bins.at(start + 0.0001)),
                users=state.counts.users(row),
                connections=state.counts.connections(row),
                sent=lag.get(start, nothing).samples,
                received=latency.get(start, nothing).samples,
                fanout_p50=latency.get(start, nothing).p50,
                fanout_p99=latency.get(start, nothing).p99,
                service_p99=service.get(start, nothing).p99,
                lag_p99=lag.get(start, nothing).p99,
                violations=bad[start],
                flagged=_flagged(state.health, row),
                seconds=len(row),
            )
        )
    return rows


class _LatencyRow(NamedTuple):
    """What the timeline shows of the samples of one interval."""

    samples: int = 0
    p50: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, samples: Histogram) -> _LatencyRow:
        return cls(samples.count, samples.percentile(50), samples.percentile(99))


def _flagged(health: Health, seconds: range) -> str:
    """Why some of the seconds are flagged: the reason of the first; "" when none is."""
    flagged = health.flagged(seconds)
    if not flagged:
        return ""
    reason = health.reason(flagged[0])
    return reason if len(seconds) == 1 else f"{len(flagged)} of {len(seconds)} seconds, as {reason}"
