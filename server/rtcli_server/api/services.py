"""What the HTTP API needs of its server, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from rtcli.protocol.messages import MemberInfo
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.broker import Broker
from rtcli_server.metrics.registry import Metrics
from rtcli_server.timing.clock import Clock


class Directory(Protocol):
    """Who is connected."""

    @property
    def clients(self) -> Mapping[str, object]:
        """Connections and streams by their id."""
        ...


class RoomDirectory(Protocol):
    """Who is in which room."""

    async def members(self, room: str) -> tuple[Sequence[MemberInfo], int]:
        """The first 200 users of a room, and how many there are. Raises BrokerUnavailableError."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """Every room that has users, with their number. Raises BrokerUnavailableError."""
        ...


@runtime_checkable
class Refreshable(Protocol):
    """An event stream that can go on with a new token."""

    user_id: str

    def refresh(self, principal: Principal) -> bool:
        """Go on with the rights of a new token; return False when they are not enough."""
        ...


class ApiServices(Protocol):
    """The parts of a server that the API is about."""

    @property
    def authenticator(self) -> Authenticator:
        """Verifies tokens."""
        ...

    @property
    def origins(self) -> OriginPolicy:
        """Which pages may ask."""
        ...

    @property
    def broker(self) -> Broker:
        """The log."""
        ...

    @property
    def hub(self) -> Directory:
        """Who is connected."""
        ...

    async def kick(self, user_id: str) -> int:
        """Close everything that a user has open, for good; return how many that were.

        Raises BrokerUnavailableError when other instances could not be told.
        """
        ...

    async def refresh_elsewhere(self, connection_id: str, principal: Principal) -> bool:
        """Let an event stream on another instance go on; return whether there may be one.

        Raises BrokerUnavailableError when that instance could not be told.
        """
        ...

    @property
    def rooms(self) -> RoomDirectory:
        """Who is in which room."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What is counted."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...
