"""What the HTTP API needs from its server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.messages import MemberInfo
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.broker import Broker, Published
from rtcli_server.cluster.revocations import Revocations
from rtcli_server.hooks import HookGate
from rtcli_server.metrics.registry import Metrics
from rtcli_server.realtime.audience import Queued
from rtcli_server.timing.clock import Clock


class ClientDirectory(Protocol):
    """The clients that are connected."""

    @property
    def clients(self) -> Mapping[str, object]:
        """Connections and event streams by their id."""
        ...


class RoomDirectory(Protocol):
    """The rooms and their members."""

    async def members(self, room: str) -> tuple[Sequence[MemberInfo], int]:
        """Return the first 200 members of a room, and their number. Raises BrokerUnavailableError."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """Return every room that has members, with their number. Raises BrokerUnavailableError."""
        ...


@runtime_checkable
class Refreshable(Protocol):
    """An event stream that can go on with a new token."""

    user_id: str

    def refresh(self, principal: Principal) -> bool:
        """Go on with the rights of a new token; return False when they are not sufficient."""
        ...


class InstanceCommands(Protocol):
    """What is done on all instances. Raises BrokerUnavailableError when others did not get the command."""

    async def kick(self, user_id: str, stay_away_s: float) -> int:
        """Close all connections and streams of a user, who is let in again later; return their number.

        Raises TooManyRevocationsError.
        """
        ...

    async def refresh_elsewhere(self, connection_id: str, principal: Principal) -> bool:
        """Let an event stream on another instance go on; return whether there may be one."""
        ...

    def tell(self, connection_id: str, event: str, data: bytes) -> Queued | asyncio.Future[Published] | None:
        """Send an event (its data as JSON) to one connection; a future for one on another instance.

        None: there is no such connection.
        """
        ...


class ChannelAudience(Protocol):
    """Who gets what is published."""

    def of(self, channel: str, exclude: Exclusion | None) -> Queued:
        """Count the connections to which what was just published in a channel is queued."""
        ...


class ApiServices(Protocol):
    """The parts of a server that the API uses."""

    @property
    def gate(self) -> HookGate | None:
        """The hooks of the application, if it has some."""
        ...

    @property
    def authenticator(self) -> Authenticator:
        """Verifies tokens."""
        ...

    @property
    def origins(self) -> OriginPolicy:
        """The origins that may send requests."""
        ...

    @property
    def broker(self) -> Broker:
        """The log."""
        ...

    @property
    def hub(self) -> ClientDirectory:
        """The clients that are connected."""
        ...

    def retry_after_ms(self) -> int:
        """A delay for a client that has to come back."""
        ...

    @property
    def revocations(self) -> Revocations:
        """What is revoked, on all instances."""
        ...

    @property
    def commands(self) -> InstanceCommands:
        """What is done on all instances."""
        ...

    @property
    def audience(self) -> ChannelAudience:
        """Who gets what is published."""
        ...

    @property
    def rooms(self) -> RoomDirectory:
        """The rooms and their members."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The metrics of the server."""
        ...

    @property
    def clock(self) -> Clock:
        """The clocks of the server."""
        ...
