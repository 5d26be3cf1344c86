"""The ports of a WebSocket connection: its transport's side, and its server's side."""

from __future__ import annotations

from typing import Protocol

from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.broker import Broker
from rtcli_server.connections.hub import Hub
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.connections.slow_consumers import SlowConsumers
from rtcli_server.delivery.channel import Write
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.wire import Format
from rtcli_server.metrics.registry import Metrics
from rtcli_server.presence.rooms import Rooms
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.tasks import BackgroundTasks
from rtcli_server.timing.timer_wheel import TimerWheel


class WebSocketWriter(Protocol):
    """The sending side of a WebSocket transport. Nothing here blocks or raises."""

    format: Format

    @property
    def full(self) -> bool:
        """Whether more is waiting to be written than the budget allows."""
        ...

    @property
    def busy(self) -> bool:
        """Whether so much is waiting that replies and replays have to wait too; true when it is `full`."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that are waiting to be written."""
        ...

    def send(self, text: bytes) -> None:
        """Send one message (JSON text) at the latest at the end of this loop turn."""
        ...

    @property
    def write(self) -> Write:
        """Sends one batch of `format` now; another function when `busy` changes."""
        ...

    def flush(self) -> None:
        """Send now what `send` was given, so that a `write` comes after it."""
        ...

    def ping(self) -> None:
        """Send an RFC 6455 ping."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's; nothing is sent after it."""
        ...

    def abort(self) -> None:
        """Close the transport at once; what it holds is lost."""
        ...

    def set_reading(self, *, on: bool) -> None:
        """Stop reading, or resume it."""
        ...


class GoneWriter:
    """Takes the place of a transport that is closed. So nothing of a lost connection is left in a cycle."""

    __slots__ = ()
    format = Format.FRAMES
    full = busy = False
    waiting_bytes = 0

    def send(self, text: bytes) -> None:
        """Do nothing, and so do all others."""

    def write(self, batch: object) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def ping(self) -> None:
        """Do nothing."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""

    def set_reading(self, *, on: bool) -> None:
        """Do nothing."""


GONE = GoneWriter()


class WebSocketServices(Protocol):
    """What a WebSocket connection needs of its server."""

    hub: Hub
    metrics: Metrics
    rooms: Rooms
    fanout: Fanout
    broker: Broker
    authenticator: Authenticator
    slow_consumers: SlowConsumers
    tasks: BackgroundTasks
    wheel: TimerWheel
    clock: Clock
    max_replay: int
    send_budget: SendBudget
    max_outstanding: int

    def retry_after_ms(self) -> int:
        """A delay for a client that has to come back; each client gets its own."""
        ...
