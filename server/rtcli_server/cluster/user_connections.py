"""One user's connections over all instances.

Each instance decides at once, by what it knows, and tells the others; so no handshake waits for the store. A
connection that turns out to be one too many is closed a moment later, with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from typing_extensions import override

from rtcli_server.broker import BrokerUnavailableError, Coordinator
from rtcli_server.cluster.exchange import Exchange, Exchanges
from rtcli_server.cluster.membership import ClusterMembership
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.timing.tasks import Spawn


class ConnectionRef(Protocol):
    """A connection of a user."""

    @property
    def connection_id(self) -> str:
        """Its name, unique over instances."""
        ...

    @property
    def user_id(self) -> str:
        """Its user."""
        ...


class _ConnectionExchange(Exchange):
    """New connections of one user since the last request, and whether the number here has changed."""

    __slots__ = ("changed", "opened")

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.changed = False

    @property
    @override
    def pending(self) -> bool:
        return self.changed

    @override
    def fail(self, error: BrokerUnavailableError) -> None:
        self.changed = True  # until it is announced again, each instance counts its own connections


class UserConnections:
    """Watches the connections of this instance (`HubObserver`).

    `caps` has the numbers here; `limit` is per user, None for no limit; `reject(connection_id)` closes a
    connection that is one too many.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        membership: ClusterMembership,
        caps: ConnectionCaps,
        *,
        limit: int | None,
        reject: Callable[[str], None],
        spawn: Spawn,
    ) -> None:
        self._coordinator = coordinator
        self._membership = membership
        self._caps = caps
        self._limit = limit
        self._reject = reject
        self._exchanges = Exchanges(_ConnectionExchange, self._send, spawn=spawn)

    def opened(self, connection: ConnectionRef) -> None:
        """Announce that a connection was opened."""
        self._exchanges.of(connection.user_id).opened.append(connection.connection_id)
        self._announce(connection.user_id)

    def closed(self, connection: ConnectionRef) -> None:
        """Announce that a connection was closed."""
        self._announce(connection.user_id)

    async def count_elsewhere(self, user_id: str) -> int:
        """Number of a user's connections on other instances. Raises BrokerUnavailableError."""
        here = self._caps.count_of(user_id)
        return await self._coordinator.update_connections(user_id, here, self._membership.dead)

    async def reannounce(self) -> None:
        """Announce again how many connections each user has here."""
        await self._exchanges.reannounce(self._caps.users(), self._mark_changed)

    @staticmethod
    def _mark_changed(_user_id: str, exchange: _ConnectionExchange) -> None:
        exchange.changed = True

    def _announce(self, user_id: str) -> None:
        self._exchanges.of(user_id).changed = True
        self._exchanges.start(user_id)

    async def _send(self, user_id: str, exchange: _ConnectionExchange) -> None:
        exchange.changed = False
        opened, exchange.opened = exchange.opened, []
        here = self._caps.count_of(user_id)
        elsewhere = await self._coordinator.update_connections(user_id, here, self._membership.dead)
        self._enforce_limit(opened, here + elsewhere)

    def _enforce_limit(self, opened: Sequence[str], count: int) -> None:
        excess = 0 if self._limit is None else count - self._limit
        if excess > 0:
            for connection_id in opened[-excess:]:
                self._reject(connection_id)
