"""Everyone who is connected to this instance, over any transport: found by id and by user, cut when slow.

What happens in rooms is in rooms.py. A client is known here by what it must be able to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Protocol

from rtcli.protocol.codes import CloseCode
from rtcli_server.cluster.user_connections import Crowd
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics

KICK_S = 60.0  # beyond its retry: how long a browser may take to come back and be told to stay away

_log = logging.getLogger(__name__)


class Client(Protocol):
    """A WebSocket connection or an event stream."""

    connection_id: str
    user_id: str
    address: str
    transport: str  # for the metrics: `websocket` or `sse`

    @property
    def waiting_bytes(self) -> int:
        """What the transport holds for it."""
        ...

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """Begin to close; with `retry_after_ms`, tell the client first when to come back."""
        ...

    def abort(self) -> None:
        """End at once; what is still to be written does not matter."""
        ...


class Hub:
    """The registry of clients.

    `slow_deadline_s`: how long one may be behind before it is cut with 4001; `stream_retry_s`: how long a
    browser waits before it opens a stream again.
    """

    def __init__(
        self, caps: ConnectionCaps, metrics: Metrics, *, slow_deadline_s: float, stream_retry_s: float = 0.0
    ) -> None:
        self.caps = caps
        self.metrics = metrics
        self.clients: dict[str, Client] = {}
        self.draining = False
        self.emptied = asyncio.Event()  # set when the last client of a draining server is gone
        self._slow_deadline_s = slow_deadline_s
        self._kick_s = stream_retry_s + KICK_S
        self._by_user: dict[str, set[Client]] = {}
        self._slow: dict[Client, float] = {}  # since when
        self._kicked: dict[str, float] = {}  # users, and until when their streams stay away
        self._tasks: set[asyncio.Task[None]] = set()
        self.crowd: Crowd | None = None  # where users may be on other instances too

    # -- who is here ---------------------------------------------------------------------------------------

    def add(self, client: Client) -> None:
        """Enter a client that was admitted."""
        self.clients[client.connection_id] = client
        self.metrics.opened[client.transport] += 1
        self._say("connected", client)
        self.caps.enter(client.user_id, client.address)
        self._by_user.setdefault(client.user_id, set()).add(client)
        if self.crowd is not None:
            self.crowd.came(client)

    def remove(self, client: Client) -> None:
        """Take out a client that is gone; twice is the same as once."""
        if self.clients.pop(client.connection_id, None) is None:
            return
        self._say("gone", client)
        self.caps.leave(client.user_id, client.address)
        self._slow.pop(client, None)
        same_user = self._by_user[client.user_id]
        same_user.discard(client)
        if not same_user:
            del self._by_user[client.user_id]
        if self.crowd is not None:
            self.crowd.went(client.user_id)
        if not self.clients and self.draining:
            self.emptied.set()

    def closing(self, client: Client, code: CloseCode, reason: str) -> None:
        """Take notice that the server ends this connection, not its client."""
        self.metrics.closed[code.name.lower()] += 1
        self._say(f"closing: {int(code)} {reason}", client)

    @staticmethod
    def _say(what: str, client: Client) -> None:
        if _log.isEnabledFor(logging.INFO):
            about = {
                "connection_id": client.connection_id,
                "user_id": client.user_id,
                "transport": client.transport,
                "address": client.address,
            }
            _log.info(what, extra=about)

    @property
    def user_count(self) -> int:
        """How many users are connected."""
        return len(self._by_user)

    @property
    def slow_count(self) -> int:
        """How many clients are behind."""
        return len(self._slow)

    def users(self) -> Collection[str]:
        """Who is connected."""
        return self._by_user.keys()

    def of_user(self, user_id: str) -> Sequence[Client]:
        """The clients of one user."""
        return tuple(self._by_user.get(user_id, ()))

    def kick(self, user_id: str, reason: str = "kicked") -> int:
        """Close everything that a user has open, for good; return how many that were."""
        clients = self.of_user(user_id)
        for client in clients:
            client.shut_down(CloseCode.KICKED, reason, None)
        return len(clients)

    def remember_kick(self, user_id: str, *, now: float) -> None:
        """Keep the streams of this user, which come back by themselves, away for a while (monotonic)."""
        self._kicked = {user: end for user, end in self._kicked.items() if end > now}
        self._kicked[user_id] = now + self._kick_s

    def is_kicked(self, user_id: str, now: float) -> bool:
        """Whether streams of this user that come back are to stay away."""
        return self._kicked.get(user_id, now) > now

    # -- slow consumers ------------------------------------------------------------------------------------

    def mark_slow(self, client: Client, now: float) -> None:
        """Start the deadline of a client whose transport holds too much, unless it runs already."""
        self._slow.setdefault(client, now)

    def mark_caught_up(self, client: Client) -> None:
        """End it: the client is live again."""
        self._slow.pop(client, None)

    def tick(self, now: float) -> None:
        """Cut those who have been behind for too long."""
        late = [client for client, since in self._slow.items() if now - since > self._slow_deadline_s]
        for client in late:
            del self._slow[client]
            client.shut_down(CloseCode.SLOW_CONSUMER, "slow_consumer", 0)

    # -- work that has to wait -----------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run short work that waits for the log or a key; the hub keeps it alive."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Cancel what still waits."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
