"""One user's connections and rate over all instances.

Each instance decides by what it knows, at once, and tells the others; so no handshake and no message waits
for the store. A connection that turns out to be one too many is closed a moment later, with the same words;
what a user sent through several instances is added up about twice a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from rtcli_server.broker import BrokerUnavailableError, Coordinator
from rtcli_server.cluster.membership import Census
from rtcli_server.limits.connection_caps import CountedBucket, UserRates
from rtcli_server.timing.pacing import groups

USERS_AT_ONCE = 50
PAUSE_S = 0.025

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Visitor(Protocol):
    """A connection of a user."""

    connection_id: str
    user_id: str


class _Exchange:
    __slots__ = ("newcomers", "running", "stale")

    def __init__(self) -> None:
        self.newcomers: list[str] = []
        self.running = False
        self.stale = False


class Crowd:
    """The connections of users who may be on several instances.

    `here(user_id)`: how many this instance has; `refuse(connection_id)`: close one that is one too many.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        census: Census,
        *,
        limit: int | None,
        here: Callable[[str], int],
        refuse: Callable[[str], None],
        users: Callable[[], Collection[str]],
        spawn: Spawn,
    ) -> None:
        self._coordinator = coordinator
        self._census = census
        self._limit = limit
        self._here = here
        self._refuse = refuse
        self._users = users
        self._spawn = spawn
        self._exchanges: dict[str, _Exchange] = {}

    def came(self, visitor: Visitor) -> None:
        """A connection was opened."""
        self._exchange(visitor.user_id).newcomers.append(visitor.connection_id)
        self._run(visitor.user_id)

    def went(self, user_id: str) -> None:
        """One was closed."""
        self._run(user_id)

    async def elsewhere(self, user_id: str) -> int:
        """How many connections a user has on other instances. Raises BrokerUnavailableError."""
        return await self._coordinator.update_connections(user_id, self._here(user_id), self._census.dead)

    async def say_again(self) -> None:
        """Say how many connections each user has here."""
        for group in groups({*self._users(), *self._exchanges}, USERS_AT_ONCE):
            for user_id in group:
                self._run(user_id)
            await asyncio.sleep(PAUSE_S)

    def _exchange(self, user_id: str) -> _Exchange:
        return self._exchanges.setdefault(user_id, _Exchange())

    def _run(self, user_id: str) -> None:
        exchange = self._exchange(user_id)
        exchange.stale = True
        if not exchange.running:
            exchange.running = True
            self._spawn(self._converse(user_id, exchange))

    async def _converse(self, user_id: str, exchange: _Exchange) -> None:
        try:
            while exchange.stale:
                exchange.stale = False
                newcomers, exchange.newcomers = exchange.newcomers, []
                here = self._here(user_id)
                elsewhere = await self._coordinator.update_connections(user_id, here, self._census.dead)
                self._judge(newcomers, here + elsewhere)
        except BrokerUnavailableError:
            exchange.stale = True  # said again when the store answers; until then each counts its own
        finally:
            exchange.running = False
            if not exchange.stale:
                self._exchanges.pop(user_id, None)

    def _judge(self, newcomers: Sequence[str], count: int) -> None:
        excess = 0 if self._limit is None else count - self._limit
        if excess > 0:
            for connection_id in newcomers[-excess:]:
                self._refuse(connection_id)


class SharedRates(UserRates):
    """Buckets that are filled from one place for all instances. `settle` is called twice a second."""

    def __init__(self, rate_per_s: float, burst: float, coordinator: Coordinator, *, spawn: Spawn) -> None:
        super().__init__(rate_per_s, burst)
        self._interval_s = 1 / rate_per_s
        # Who sends less than this between two settlements is settled when it has added up.
        self._worth_telling = max(1, int(rate_per_s / 10))
        self._coordinator = coordinator
        self._spawn = spawn
        self._busy: list[CountedBucket] = []

    def _new_bucket(self, user_id: str, now: float) -> CountedBucket:
        return CountedBucket(
            user_id,
            self._rate_per_s,
            self._burst,
            now,
            worth_telling=self._worth_telling,
            on_busy=self._busy.append,
        )

    def settle(self, now: Callable[[], float]) -> None:
        """Tell what was taken since, and learn what others took."""
        busy, self._busy[:] = list(self._busy), []
        for bucket in busy:
            self._spawn(self._settle(bucket, now))

    async def _settle(self, bucket: CountedBucket, now: Callable[[], float]) -> None:
        count = bucket.begin()
        try:
            ahead_s = await self._coordinator.take_tokens(bucket.user_id, count, self._interval_s)
        except BrokerUnavailableError:
            bucket.fail(count)
        else:
            bucket.settled(now(), ahead_s)
