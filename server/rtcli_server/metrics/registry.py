"""Every metric of the server: its name, what it counts, and its recording.

Values are plain integers and flat arrays, because they change with every message; prometheus_client is used
only when the metrics are read (exposition.py). What can be counted at that moment (connections, rooms, bytes
waiting) is not recorded at all.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from rtcli.protocol.publication import Publication
from rtcli_server.broker import Published

# Seconds. From half a millisecond (the publication's own clock has milliseconds) to ten seconds.
LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Kind(Enum):
    """The Prometheus type of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Spec(NamedTuple):
    """A metric. `unit` is part of the name where it has one; counters get `_total` when they are exposed."""

    name: str
    kind: Kind
    unit: str
    help: str
    label: str = ""


CONNECTIONS = Spec("rtcli_connections", Kind.GAUGE, "", "Open connections", "transport")
OPENED = Spec("rtcli_connections_opened", Kind.COUNTER, "", "Connections that were admitted", "transport")
CLOSED = Spec("rtcli_server_closes", Kind.COUNTER, "", "Connections that the server closed or cut", "reason")
REFUSALS = Spec(
    "rtcli_refusals", Kind.COUNTER, "", "Connections and requests that were not admitted", "reason"
)
USERS = Spec("rtcli_users", Kind.GAUGE, "", "Users with a connection")
ROOMS = Spec("rtcli_rooms", Kind.GAUGE, "", "Rooms with a member")
PUBLICATIONS = Spec(
    "rtcli_publications",
    Kind.COUNTER,
    "",
    "Publishes by clients of this instance",
    "outcome",
)
PUBLISH_SECONDS = Spec(
    "rtcli_log_publish_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From a publish until the log has it; those that the log takes at once are not counted",
)
OUTSTANDING = Spec("rtcli_log_outstanding", Kind.GAUGE, "", "Publishes that the log has not answered yet")
LOG_READY = Spec("rtcli_log_ready", Kind.GAUGE, "", "Whether the log accepts and delivers publications")
DELIVERIES = Spec(
    "rtcli_deliveries",
    Kind.COUNTER,
    "",
    "Messages written to members' transports by fan-out, ephemeral ones included",
)
FANOUT_SECONDS = Spec(
    "rtcli_fanout_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From a publication's timestamp until it is written to the transports; per write, of its oldest one",
)
WAITING = Spec("rtcli_waiting_bytes", Kind.GAUGE, "bytes", "Bytes waiting to be sent, in all connections")
SLOW = Spec("rtcli_slow_clients", Kind.GAUGE, "", "Clients whose transport holds more bytes than its budget")
DIRECT = Spec(
    "rtcli_direct_events", Kind.COUNTER, "", "Events for one connection of this instance alone", "outcome"
)
GAPS = Spec("rtcli_gaps", Kind.COUNTER, "", "Gaps reported to members: publications that they will not get")
RESUMES = Spec("rtcli_resumes", Kind.COUNTER, "", "Channels resumed from a position", "outcome")
FOREIGN = Spec(
    "rtcli_foreign_content",
    Kind.COUNTER,
    "",
    "Pieces of content in the store, or from peers, that no server wrote: they were skipped",
    "place",
)
INVALID = Spec(
    "rtcli_refused_messages", Kind.COUNTER, "", "Client messages that were answered with an error", "code"
)
LOOP_LAG_SECONDS = Spec(
    "rtcli_loop_lag_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "How late the event loop's ticks are (ten per second)",
)
HOOK_CALLS = Spec("rtcli_hook_calls", Kind.COUNTER, "", "Calls of the application's hooks", "outcome")
HOOKS_WAITING = Spec("rtcli_hooks_waiting", Kind.GAUGE, "", "Calls of hooks that have not ended yet")
DRAINING = Spec("rtcli_draining", Kind.GAUGE, "", "Whether the server is shutting down")
INSTANCES = Spec("rtcli_instances", Kind.GAUGE, "", "Live instances of the deployment, this one included")
INFO = Spec("rtcli_server", Kind.GAUGE, "", "1; the label names this instance", "instance")

SPECS = (
    CONNECTIONS,
    OPENED,
    CLOSED,
    REFUSALS,
    USERS,
    ROOMS,
    PUBLICATIONS,
    PUBLISH_SECONDS,
    OUTSTANDING,
    LOG_READY,
    DELIVERIES,
    FANOUT_SECONDS,
    WAITING,
    SLOW,
    DIRECT,
    GAPS,
    RESUMES,
    FOREIGN,
    INVALID,
    LOOP_LAG_SECONDS,
    HOOK_CALLS,
    HOOKS_WAITING,
    DRAINING,
    INSTANCES,
    INFO,
)


class Histogram:
    """Counts values by upper bound. `counts` has one more entry than `bounds`, for values over the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a negative one, from clocks that differ, counts as 0."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += max(value, 0.0)


class Metrics:
    """What the server records. `wall` gives Unix seconds; `tick_s` is the time between two ticks."""

    def __init__(self, wall: Callable[[], float], *, tick_s: float) -> None:
        self._wall = wall
        self._tick_s = tick_s
        self._ticked_at: float | None = None
        self.opened: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.refused_messages: Counter[str] = Counter()
        self.resumes: Counter[str] = Counter()
        self.direct: Counter[str] = Counter()
        self.hook_calls: Counter[str] = Counter()
        self.hooks_waiting = 0
        self.published = 0
        self.duplicates = 0
        self.unavailable = 0
        self.outstanding = 0
        self.deliveries = 0
        self.publish_seconds = Histogram()
        self.fanout_seconds = Histogram()
        self.loop_lag_seconds = Histogram()

    def flushed(self, items: Sequence[object], writes: int) -> None:
        """Count a flush: its items (publications and ephemeral events) were written to `writes` members."""
        self.deliveries += len(items) * writes
        for item in items:
            if type(item) is Publication:
                self.fanout_seconds.observe(self._wall() - item.time_ms / 1000)
                return

    def count(self, future: asyncio.Future[Published]) -> None:
        """Count the outcome of a publish."""
        if future.cancelled():
            return
        if future.exception() is not None:
            self.unavailable += 1
        elif future.result().duplicate:
            self.duplicates += 1
        else:
            self.published += 1

    def ticked(self, now: float) -> None:
        """Measure how late a tick is; `now` is in monotonic seconds."""
        if self._ticked_at is not None:
            self.loop_lag_seconds.observe(now - self._ticked_at - self._tick_s)
        self._ticked_at = now

    def resumed(self, reason: str | None) -> None:
        """Count a resume; `reason` is None when nothing is missing."""
        self.resumes["recovered" if reason is None else str(reason)] += 1
