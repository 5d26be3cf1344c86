"""All clients that are connected to this instance, over any transport: found by id and by user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.position import Position
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics
from rtcli_server.timing.containment import contained

KICKED = "kicked"  # the reason of a kick
KICK_S = 60.0  # beyond its retry: how long a browser may take to come back, when it is refused

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """A client, as far as its end is concerned."""

    __slots__ = ()

    connection_id: str

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """Begin to close; with `retry_after_ms`, tell the client first when to come back."""
        ...

    def abort(self) -> None:
        """Close at once, without sending what still waits."""
        ...


class Client(Closable, Protocol):
    """A WebSocket connection or an event stream."""

    __slots__ = ()

    user_id: str
    address: str
    transport: str  # for the metrics: `websocket` or `sse`

    @property
    def dormant_at(self) -> Position | None:
        """Its position in its user's channel, which it waits for without a subscription; or None."""
        return None

    @property
    def told_events_to(self) -> Position | None:
        """Up to where it was told of its user's events, by what the log said; None where that is not known.

        A client that follows the channel itself need not tell it: the log knows.
        """
        return None

    def wake(self) -> None:
        """Something was published in its user's channel: one that is dormant subscribes."""
        return

    def follows(self, channel: str) -> bool:  # noqa: ARG002 - of no channel
        """Whether what is published in this channel reaches it, perhaps once it has caught up."""
        return False

    def tell(self, data: bytes) -> bool:  # noqa: ARG002 - nobody
        """Send an event for it alone, with the data that `direct_data` makes.

        Return whether it was queued: not when the client is not greeted yet, too slow, or about to be gone.
        """
        return False

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that the transport holds for it."""
        ...

    def cut_off(self) -> None:
        """Close at once for being slow: what waits is too much for the process."""
        close_or_cut(self, CloseCode.SLOW_CONSUMER, "slow_consumer", 0)
        _cut(self)


class HubObserver(Protocol):
    """Is notified of each client that is added or removed."""

    def opened(self, connection: Client) -> None:
        """A client was added, and counted."""
        ...

    def closed(self, connection: Client) -> None:
        """A client was removed, and is not counted any more."""
        ...


class Hub:
    """The registry of clients.

    `stream_retry_s`: how long a browser waits before it opens an event stream again.
    """

    def __init__(
        self,
        caps: ConnectionCaps,
        metrics: Metrics,
        *,
        stream_retry_s: float = 0.0,
        observer: HubObserver | None = None,
    ) -> None:
        self.caps = caps
        self._metrics = metrics
        self.clients: dict[str, Client] = {}
        self.draining = False
        self.emptied = asyncio.Event()  # set when the last client of a draining server is gone
        self._kick_s = stream_retry_s + KICK_S
        self._observer = observer
        self._by_user: dict[str, set[Client]] = {}
        self._kicked: dict[str, float] = {}  # users, and until when their streams stay away, by that time

    # -- who is here ---------------------------------------------------------------------------------------

    def add(self, client: Client) -> None:
        """Enter a client that was admitted."""
        self.clients[client.connection_id] = client
        self._metrics.opened[client.transport] += 1
        self._log("connected", client)
        self.caps.add(client.user_id, client.address)
        self._by_user.setdefault(client.user_id, set()).add(client)
        if self._observer is not None:
            self._observer.opened(client)

    def remove(self, client: Client) -> None:
        """Take out a client that is gone. A second call does nothing."""
        if self.clients.pop(client.connection_id, None) is None:
            return
        self._log("gone", client)
        self.caps.remove(client.user_id, client.address)
        same_user = self._by_user[client.user_id]
        same_user.discard(client)
        if not same_user:
            del self._by_user[client.user_id]
        if self._observer is not None:
            self._observer.closed(client)
        if not self.clients and self.draining:
            self.emptied.set()

    def start_draining(self) -> None:
        """The server is about to end: it takes no new clients, and `emptied` is set when the last is gone."""
        self.draining = True

    def closing(self, client: Client, code: CloseCode, reason: str) -> None:
        """Record that the server closes this connection, not its client."""
        self._metrics.closed[code.name.lower()] += 1
        self._log(f"closing: {int(code)} {reason}", client)

    @staticmethod
    def _log(event: str, client: Client) -> None:
        if _log.isEnabledFor(logging.INFO):
            about = {
                "connection_id": client.connection_id,
                "user_id": client.user_id,
                "transport": client.transport,
                "address": client.address,
            }
            _log.info(event, extra=about)

    @property
    def user_count(self) -> int:
        """Number of users who are connected."""
        return len(self._by_user)

    def of_user(self, user_id: str) -> Sequence[Client]:
        """The clients of one user."""
        return tuple(self._by_user.get(user_id, ()))

    def abort_all(self) -> int:
        """Close all clients at once; return their number."""
        clients = list(self.clients.values())
        for client in clients:
            _cut(client)
        return len(clients)

    # -- kicks ---------------------------------------------------------------------------------------------

    def kick(self, user_id: str) -> int:
        """Close everything that a user has open, for good; return the number of clients closed."""
        clients = self.of_user(user_id)
        for client in clients:
            close_or_cut(client, CloseCode.KICKED, KICKED, None)
        return len(clients)

    def remember_kick(self, user_id: str, *, now: float) -> None:
        """Keep this user's event streams, which come back by themselves, away for a while.

        `now` is in monotonic seconds.
        """
        self._kicked.pop(user_id, None)
        for user in list(takewhile(lambda user: self._kicked[user] <= now, self._kicked)):
            del self._kicked[user]
        self._kicked[user_id] = now + self._kick_s  # the last one to end

    def is_kicked(self, user_id: str, now: float) -> bool:
        """Whether event streams of this user that come back have to stay away."""
        return self._kicked.get(user_id, now) > now


def close_or_cut(client: Closable, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
    """Begin to close a client; where that raises, log it and close at once. The other clients come next."""
    try:
        client.shut_down(code, reason, retry_after_ms)
    except Exception:  # noqa: BLE001 - whatever it was, this client is closed, and the others too
        _log.exception("closing %s failed", client.connection_id)
        _cut(client)


def _cut(client: Closable) -> None:
    with contained(_log, "cutting %s failed", client.connection_id):
        client.abort()
