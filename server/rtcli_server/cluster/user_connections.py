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
from rtcli_server.cluster.newcomers import Newcomers
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
    """Whether the number of one user's connections here has changed, or is announced anew."""

    __slots__ = ("again", "changed")

    def __init__(self) -> None:
        super().__init__()
        self.changed = False
        self.again = False

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
    connection that is one too many. `probation_s`: how long other instances may take to announce again what
    the store has forgotten; `now` gives monotonic seconds.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        membership: ClusterMembership,
        caps: ConnectionCaps,
        *,
        limit: int | None,
        probation_s: float,
        reject: Callable[[str], None],
        spawn: Spawn,
        now: Callable[[], float],
    ) -> None:
        self._coordinator = coordinator
        self._membership = membership
        self._caps = caps
        self._limit = limit
        self._reject = reject
        self._now = now
        self._newcomers = Newcomers(probation_s)
        self._rejected: dict[str, set[str]] = {}  # by user: still open, but not for long
        self._exchanges = Exchanges(_ConnectionExchange, self._send, spawn=spawn)

    def opened(self, connection: ConnectionRef) -> None:
        """Announce that a connection was opened."""
        if self._limit is not None:
            self._newcomers.add(connection.user_id, connection.connection_id)
        self._announce(connection.user_id)

    def closed(self, connection: ConnectionRef) -> None:
        """Announce that a connection was closed."""
        user_id, connection_id = connection.user_id, connection.connection_id
        self._newcomers.remove(user_id, connection_id)
        rejected = self._rejected.get(user_id)
        if rejected is not None:
            rejected.discard(connection_id)
            if not rejected:
                del self._rejected[user_id]
        self._announce(user_id)

    async def count_elsewhere(self, user_id: str) -> int:
        """Number of a user's connections on other instances. Raises BrokerUnavailableError."""
        return await self._coordinator.update_connections(
            user_id, self._count(user_id), self._membership.dead
        )

    async def reannounce(self) -> None:
        """Announce again how many connections each user has here."""
        await self._exchanges.reannounce(self._caps.users(), self._mark_again)

    @staticmethod
    def _mark_again(_user_id: str, exchange: _ConnectionExchange) -> None:
        exchange.changed = exchange.again = True

    def _announce(self, user_id: str) -> None:
        self._exchanges.of(user_id).changed = True
        self._exchanges.start(user_id)

    def _count(self, user_id: str) -> int:
        """Number of a user's connections here that stay."""
        return self._caps.count_of(user_id) - len(self._rejected.get(user_id, ()))

    async def _send(self, user_id: str, exchange: _ConnectionExchange) -> None:
        exchange.changed = False
        counted = self._newcomers.unjudged(user_id)
        here = self._count(user_id)
        elsewhere = await self._coordinator.update_connections(user_id, here, self._membership.dead)
        again, exchange.again = exchange.again, False
        if self._limit is not None:
            exchange.changed |= self._judge(user_id, counted, elsewhere - self._limit, again=again)
            self._newcomers.judge(user_id, counted, self._now())

    def _judge(self, user_id: str, counted: Sequence[str], excess_elsewhere: int, *, again: bool) -> bool:
        """Close the newest of those that are too many now; return whether there were any.

        Those that were counted may be closed meanwhile, and cost no place; those that came meanwhile are
        counted by the next request.
        """
        unjudged = self._newcomers.unjudged(user_id)
        still = [connection_id for connection_id in unjudged if connection_id in counted]
        came_later = len(unjudged) - len(still)
        excess = self._count(user_id) - came_later + excess_elsewhere
        candidates = [*self._newcomers.on_probation(user_id, self._now()), *still] if again else still
        too_many = candidates[-excess:] if excess > 0 else []
        for connection_id in too_many:
            self._newcomers.remove(user_id, connection_id)
            self._rejected.setdefault(user_id, set()).add(connection_id)
            self._reject(connection_id)
        return bool(too_many)
