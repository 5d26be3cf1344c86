"""The metrics of the load tester: name, kind, unit and meaning of each.

They have k6's names where the meaning is the same. Values are stored in base units (seconds, bytes, a ratio
from 0 to 1, a plain number). Kinds, as in k6: a *trend* keeps a distribution (`avg min max med p(N) count`),
a *counter* adds up (`count rate`), a *rate* is the share of samples that were good (`rate`), a *gauge* is the
last value (`value`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

TAGS = ("phase", "role", "room", "step", "code")
"""Tags that a sample can have; only `close` and `errors` have a `code`."""


class Kind(StrEnum):
    """The kind of a metric: what is kept of its samples."""

    TREND = "trend"
    COUNTER = "counter"
    RATE = "rate"
    GAUGE = "gauge"


class Unit(StrEnum):
    """The base unit of a metric's values."""

    SECONDS = "s"
    BYTES = "B"
    RATIO = "ratio"
    NUMBER = "1"


AGGREGATIONS: Mapping[Kind, tuple[str, ...]] = {
    Kind.TREND: ("avg", "min", "max", "med", "p", "count"),
    Kind.COUNTER: ("count", "rate"),
    Kind.RATE: ("rate",),
    Kind.GAUGE: ("value",),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Counters with `always` exist from the start, so that 0 is data."""

    name: str
    kind: Kind
    unit: Unit
    help: str
    always: bool = False


def _trend(name: str, text: str) -> Metric:
    return Metric(name, Kind.TREND, Unit.SECONDS, text)


def _counter(name: str, text: str, *, unit: Unit = Unit.NUMBER, always: bool = False) -> Metric:
    return Metric(name, Kind.COUNTER, unit, text, always)


_ALL = (
    _trend("ws_connecting", "From the start of a connection attempt to the WebSocket being open."),
    _counter("ws_sessions", "WebSocket sessions that were opened."),
    _trend("ws_session_duration", "From open to closed, of a WebSocket session."),
    _counter("ws_msgs_sent", "WebSocket messages sent."),
    _counter("ws_msgs_received", "WebSocket messages received."),
    _trend("sse_connecting", "From the start of a request to the first bytes of its event stream."),
    _counter("sse_events", "Events received on event streams."),
    _counter("iterations", "Rounds of loops, and whole flows of users who arrived."),
    _trend("iteration_duration", "How long such a round took."),
    _counter("dropped_iterations", "Users who should have arrived and could not be started.", always=True),
    _counter("data_sent", "Bytes written to connections.", unit=Unit.BYTES),
    _counter("data_received", "Bytes read from connections.", unit=Unit.BYTES),
    Metric("checks", Kind.RATE, Unit.RATIO, "Share of `expect` and `http` steps that were satisfied."),
    Metric("vus", Kind.GAUGE, Unit.NUMBER, "Users who are active."),
    _trend("fanout_latency", "From when a message should have been sent to its arrival at one receiver."),
    _trend("fanout_service", "From when a message was really sent to its arrival at one receiver."),
    _trend("fanout_complete", "From when a message should have been sent to its last expected receiver."),
    _trend("send_ack", "From when a message should have been sent to its acknowledgement."),
    _trend("join_ack", "From asking to join a room to the confirmation."),
    _trend("schedule_lag", "How late messages left: the load generator's own health."),
    _trend("recovery_time", "From the loss of a connection to being back in all its rooms."),
    _trend("http_req_duration", "From the start of an HTTP request to the whole response."),
    Metric("delivery_ratio", Kind.RATE, Unit.RATIO, "Share of the expected deliveries that arrived."),
    _counter("absent", "Users who were not there, or gone before their part was over.", always=True),
    _counter("unsent", "Messages that were due and not accepted.", always=True),
    _counter("missed", "Deliveries to users who were absent without leave.", always=True),
    _counter("lost", "Deliveries that were expected and never came.", always=True),
    _counter("duplicate", "Deliveries that came again.", always=True),
    _counter("reordered", "Deliveries against the order of their room or publisher.", always=True),
    _counter("resume_gap", "Losses while away, although nothing was said to be missing.", always=True),
    _counter("leak", "Deliveries to somebody they were not for.", always=True),
    _counter("phantom", "Deliveries of messages that this run did not send.", always=True),
    _counter("ghost", "Deliveries of messages whose sender got an error.", always=True),
    _counter("corrupt", "Deliveries with another text than was sent.", always=True),
    _counter("late", "Deliveries later than the audit's `late_after`.", always=True),
    _counter("gap_declared", "Deliveries that the server said would not come.", always=True),
    _counter("indeterminate", "Deliveries nobody can tell about: joins and leaves in flight.", always=True),
    _counter("close", "Connections that were closed, by close code.", always=True),
    _counter("errors", "Errors that the server answered with, by code.", always=True),
    _counter("connect_failed", "Connection attempts that failed.", always=True),
    _counter("reconnects", "Connections opened again after a loss.", always=True),
    _counter("dropped_sends", "Messages due by the schedule that could not be sent.", always=True),
    _trend("loop_lag", "How late the event loop of a worker was, sends or not: its own health, too."),
    _counter(
        "loop_stalls",
        "Times an event loop stood still for longer than the tightest threshold on a time can bear.",
        always=True,
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
