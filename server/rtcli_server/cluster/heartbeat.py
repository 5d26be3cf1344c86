"""One instance among others: signs of life, and saying again what the others may have forgotten.

A sign of life each quarter of the lease. What this instance said of its rooms and users is said again when
the store may have lost it (the lease had ended, the connection is new), when another instance has died (whose
users are taken out on the way), and before it expires. That is paced, and never delays a sign of life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from rtcli_server.broker import BrokerUnavailableError, Coordinator
from rtcli_server.cluster.membership import Census

BEATS_PER_LEASE = 4
REPEATS = 2  # others may count us as dead until their own next sign of life, and undo the first one


class Neighbours:
    """`say_again`: what has to be repeated, each with its own pace."""

    def __init__(
        self,
        coordinator: Coordinator,
        census: Census,
        say_again: Sequence[Callable[[], Awaitable[None]]],
        *,
        lease_s: float,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        self._coordinator = coordinator
        self._census = census
        self._say_again = say_again
        self._lease_s = lease_s
        self._now = now
        self._rng = rng
        self._said_at = now()
        self._repeats = 0
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Live, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            group.create_task(self._repeat())

    async def _beat(self) -> None:
        while True:
            await self._beat_once()
            await asyncio.sleep(self._lease_s / BEATS_PER_LEASE * self._rng.uniform(0.9, 1.1))

    async def _beat_once(self) -> None:
        try:
            reply = await self._coordinator.heartbeat(self._lease_s)
        except BrokerUnavailableError:
            self._repeats = REPEATS  # whatever was said meanwhile may not have been heard
            return
        if not reply.remembered:
            self._repeats = REPEATS
        old = self._now() - self._said_at > self._coordinator.ttl_s / 3
        if self._census.beaten(reply.alive) or old or self._repeats:
            self._repeats = max(0, self._repeats - 1)
            self._said_at = self._now()
            self._due.set()

    async def _repeat(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            for say in self._say_again:
                await say()

    async def leave(self, linger_s: float) -> None:
        """Say goodbye: for `linger_s`, the users of this instance count as being about to come back."""
        try:
            await self._coordinator.heartbeat(linger_s)
        except BrokerUnavailableError:
            return  # the lease ends by itself
