"""Heartbeats of this instance, and repeating what the others may have forgotten.

A heartbeat is sent four times per lease. What this instance has announced of its rooms and users is announced
again when the store may have lost it (the lease had ended, the connection is new), when another instance has
died (whose users are taken out on the way), and before it expires. What the store had forgotten is announced
once more when the others have done that, too: only then everybody is counted. That is paced, and no heartbeat
waits for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from rtcli_server.broker import BrokerUnavailableError, Coordinator
from rtcli_server.cluster.membership import ClusterMembership

HEARTBEATS_PER_LEASE = 4
REPEATS = 2  # others may count us as dead until their own next heartbeat, and undo the first repetition
RETURN_S = 3.5  # how long others may take to reach a store that is back


def settling_s(lease_s: float) -> float:
    """Seconds after which all instances have announced again what a store had forgotten."""
    return RETURN_S + 2 * lease_s / HEARTBEATS_PER_LEASE


class HeartbeatLoop:
    """`reannounce`: functions that announce everything again, each with its own pace."""

    def __init__(
        self,
        coordinator: Coordinator,
        membership: ClusterMembership,
        reannounce: Sequence[Callable[[], Awaitable[None]]],
        *,
        lease_s: float,
        now: Callable[[], float],
        rng: Random,
    ) -> None:
        self._coordinator = coordinator
        self._membership = membership
        self._reannounce = reannounce
        self._lease_s = lease_s
        self._now = now
        self._rng = rng
        self._announced_at = now()
        self._repeats = 0
        self._settled_at = math.inf  # when all others have announced again, too
        self._reannounce_due = asyncio.Event()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_heartbeats())
            group.create_task(self._run_reannouncements())

    async def _run_heartbeats(self) -> None:
        while True:
            await self._heartbeat()
            await asyncio.sleep(self._lease_s / HEARTBEATS_PER_LEASE * self._rng.uniform(0.9, 1.1))

    async def _heartbeat(self) -> None:
        try:
            reply = await self._coordinator.heartbeat(self._lease_s)
        except BrokerUnavailableError:
            self._forgotten()  # what was announced meanwhile may be lost
            return
        if not reply.remembered:
            self._forgotten()
        now = self._now()
        old = now - self._announced_at > self._coordinator.ttl_s / 3
        settled = now >= self._settled_at
        if self._membership.on_heartbeat(reply.alive) or old or self._repeats or settled:
            self._repeats = max(0, self._repeats - 1)
            self._settled_at = math.inf if settled else self._settled_at
            self._announced_at = now
            self._reannounce_due.set()

    def _forgotten(self) -> None:
        self._repeats = REPEATS
        self._settled_at = self._now() + settling_s(self._lease_s)

    async def _run_reannouncements(self) -> None:
        while True:
            await self._reannounce_due.wait()
            self._reannounce_due.clear()
            for reannounce in self._reannounce:
                await reannounce()

    async def leave(self, linger_s: float) -> None:
        """Send a last heartbeat: for `linger_s`, the users of this instance count as about to come back."""
        try:
            await self._coordinator.heartbeat(linger_s)
        except BrokerUnavailableError:
            return  # the lease ends by itself
