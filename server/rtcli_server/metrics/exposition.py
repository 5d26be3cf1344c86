"""The metrics in Prometheus' formats, collected when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from rtcli_server.broker import ForeignContent
from rtcli_server.metrics import registry as names
from rtcli_server.metrics.registry import Histogram, Kind, Metrics, Spec


class Watched(Protocol):
    """A client, as the metrics see it."""

    @property
    def transport(self) -> str:
        """`websocket` or `sse`."""
        ...


class WatchedOutput(Protocol):
    """The sending side of a connection."""

    @property
    def waiting_bytes(self) -> int:
        """The bytes that wait in its transport."""
        ...


class WatchedHub(Protocol):
    """Who is connected."""

    draining: bool

    @property
    def clients(self) -> Mapping[str, Watched]:
        """Every client, by its id."""
        ...

    @property
    def user_count(self) -> int:
        """The number of users who are connected."""
        ...


class WatchedRooms(Protocol):
    """Which rooms have users."""

    def here(self) -> Mapping[str, int]:
        """The rooms that have users on this instance, with the number of users."""
        ...


class WatchedFanout(Protocol):
    """Counts what could not be delivered."""

    gaps: int


class Observed(Protocol):
    """The parts of a server that the metrics read."""

    @property
    def metrics(self) -> Metrics:
        """What was recorded."""
        ...

    @property
    def instance_id(self) -> str:
        """Which instance this is."""
        ...

    @property
    def instance_count(self) -> int:
        """The number of live instances of the deployment, as far as this one knows."""
        ...

    @property
    def hub(self) -> WatchedHub:
        """Who is connected."""
        ...

    @property
    def slow_consumers(self) -> Sized:
        """The clients that are behind."""
        ...

    def outputs(self) -> Iterable[WatchedOutput]:
        """Everything in which bytes may wait to be sent."""
        ...

    @property
    def rooms(self) -> WatchedRooms:
        """Which rooms have users."""
        ...

    @property
    def fanout(self) -> WatchedFanout:
        """Counts what could not be delivered."""
        ...

    @property
    def foreign(self) -> ForeignContent:
        """Counts what was found in the store and is not ours."""
        ...


class ServerCollector(Collector):
    """Gives each metric of `registry.SPECS` once. `log_ready` is given: only a coroutine can ask the log."""

    def __init__(self, observed: Observed, *, log_ready: bool) -> None:
        self._observed = observed
        self._log_ready = log_ready

    def describe(self) -> Iterable[Metric]:
        """List the metrics without their values."""
        return [Metric(spec.name, spec.help, spec.kind.value) for spec in names.SPECS]

    def collect(self) -> Iterator[Metric]:
        """Collect them all."""
        m = self._observed.metrics
        for spec, histogram in (
            (names.PUBLISH_SECONDS, m.publish_seconds),
            (names.FANOUT_SECONDS, m.fanout_seconds),
            (names.LOOP_LAG_SECONDS, m.loop_lag_seconds),
        ):
            yield _histogram(spec, histogram)
        outcomes = {"published": m.published, "duplicate": m.duplicates, "unavailable": m.unavailable}
        open_ = Counter(client.transport for client in self._observed.hub.clients.values())
        for spec, values in (
            (names.CONNECTIONS, {"websocket": 0, "sse": 0} | open_),
            (names.OPENED, m.opened),
            (names.CLOSED, m.closed),
            (names.REFUSALS, m.refusals),
            (names.INVALID, m.refused_messages),
            (names.HOOK_CALLS, m.hook_calls),
            (names.DIRECT, m.direct),
            (names.RESUMES, m.resumes),
            (names.FOREIGN, self._observed.foreign.counts),
            (names.PUBLICATIONS, outcomes),
            (names.INFO, {self._observed.instance_id: 1}),
        ):
            yield _labelled(spec, values)
        plain: dict[Spec, float] = {
            names.DELIVERIES: m.deliveries,
            names.GAPS: self._observed.fanout.gaps,
            names.OUTSTANDING: m.outstanding,
            names.HOOKS_WAITING: m.hooks_waiting,
            names.WAITING: sum(output.waiting_bytes for output in self._observed.outputs()),
            names.USERS: self._observed.hub.user_count,
            names.SLOW: len(self._observed.slow_consumers),
            names.ROOMS: len(self._observed.rooms.here()),
            names.DRAINING: self._observed.hub.draining,
            names.LOG_READY: self._log_ready,
            names.INSTANCES: self._observed.instance_count,
        }
        for spec, value in plain.items():
            yield _plain(spec, value)


def _plain(spec: Spec, value: float) -> Metric:
    if spec.kind is Kind.COUNTER:
        return CounterMetricFamily(spec.name, spec.help, value=value)
    return GaugeMetricFamily(spec.name, spec.help, value=value)


def _labelled(spec: Spec, values: Mapping[str, int]) -> Metric:
    family = (CounterMetricFamily if spec.kind is Kind.COUNTER else GaugeMetricFamily)(
        spec.name, spec.help, labels=[spec.label]
    )
    for label, value in values.items():
        family.add_metric([str(label)], value)
    return family


def _histogram(spec: Spec, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(spec.name, spec.help)
    buckets: list[tuple[str, float]] = []
    count = 0
    for bound, in_bucket in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        count += in_bucket
        buckets.append((bound, count))
    family.add_metric([], buckets, histogram.total)
    return family


class Exposition:
    """Writes the metrics of one server and of its process (memory, CPU, descriptors)."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._process = ProcessCollector(registry=None)

    def write(self, accept: str, *, log_ready: bool) -> tuple[bytes, str]:
        """The text in the format that `accept` (a header) asks for, and its content type."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(ServerCollector(self._observed, log_ready=log_ready))
        registry.register(self._process)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type
