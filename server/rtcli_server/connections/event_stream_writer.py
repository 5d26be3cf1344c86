"""The ports of an event stream: its transport's side, its server's side, and how each stream ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.sse import encode_event
from rtcli_server.broker.paging import ReadHistory
from rtcli_server.connections.hub import Hub
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.connections.slow_consumers import SlowConsumers
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.wire import EventBatch
from rtcli_server.metrics.registry import Metrics
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel


class EventStreamWriter(Protocol):
    """The sending side of an event stream's transport. Nothing here blocks or raises."""

    @property
    def full(self) -> bool:
        """Whether more is waiting to be written than the budget allows."""
        ...

    @property
    def busy(self) -> bool:
        """Whether so much is waiting that a replay has to wait too; true when it is `full`."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that are waiting to be written."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes now."""
        ...

    def write_events(self, batch: EventBatch, suffix: bytes) -> None:
        """Send a batch now, with this stream's suffix."""
        ...

    def end(self) -> None:
        """End the stream after what was written."""
        ...

    def abort(self) -> None:
        """Close the transport at once; what it holds is lost."""
        ...

    async def run(self) -> None:
        """Wait until the client has gone or the stream has ended."""
        ...


class TransportObserver(Protocol):
    """Is notified of what happens to a transport."""

    def set_busy(self, *, on: bool) -> None:
        """`on`: much waits in the transport. Not `on`: it has drained."""
        ...

    def lost(self) -> None:
        """The transport is closed."""
        ...


class WriterObserver(TransportObserver, Protocol):
    """Is notified of what happens to a writer."""

    def set_full(self) -> None:
        """More waits than the budget allows, until it has drained."""
        ...


OpenWriter: TypeAlias = Callable[[WriterObserver], EventStreamWriter]


class EventStreamServices(Protocol):
    """What an event stream needs of its server."""

    hub: Hub
    metrics: Metrics
    fanout: Fanout
    history: ReadHistory
    slow_consumers: SlowConsumers
    send_budget: SendBudget
    wheel: TimerWheel
    clock: Clock


def send_closing(
    writer: EventStreamWriter, cursor: str | None, code: CloseCode, reason: str, retry_after_ms: int | None
) -> None:
    """Send `closing` with its own `retry`, and end the stream. A client that does not read is cut off.

    Without a `cursor`, the client keeps the one that it has.
    """
    if writer.full:
        writer.abort()
        return
    if retry_after_ms is not None:
        data = msgspec.json.encode({"code": code, "reason": reason, "retry_after_ms": retry_after_ms})
        writer.write(encode_event(id=cursor, event="closing", data=data, retry_ms=retry_after_ms))
    writer.end()
