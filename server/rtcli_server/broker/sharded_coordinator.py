"""Instances that share several stores: each room and each user has its place in one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from rtcli.protocol.position import USER_PREFIX
from rtcli_server.broker.coordinator import (
    Coordinator,
    HeartbeatReply,
    Notification,
    OnNotification,
    PresenceChange,
    RoomUsers,
)


class ShardedCoordinator:
    """Spreads what is said over `shards`, by channel as `place(channel)` says. Implements `Coordinator`."""

    def __init__(self, shards: Sequence[Coordinator], place: Callable[[str], int]) -> None:
        self._shards = shards
        self._place = place
        self.instance_id = shards[0].instance_id
        self.ttl_s = min(shard.ttl_s for shard in shards)

    @property
    def on_notification(self) -> OnNotification | None:
        """See `Coordinator`."""
        return self._shards[0].on_notification

    @on_notification.setter
    def on_notification(self, hear: OnNotification | None) -> None:
        for shard in self._shards:
            shard.on_notification = hear

    def _of(self, channel: str) -> Coordinator:
        return self._shards[self._place(channel)]

    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        """Live in all of them: an instance is alive as long as one says so."""
        beats = await asyncio.gather(*[shard.heartbeat(lease_s) for shard in self._shards])
        alive = frozenset[str]().union(*[beat.alive for beat in beats])
        return HeartbeatReply(alive, all(beat.remembered for beat in beats))

    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        """See `Coordinator.update_presence`."""
        return await self._of(channel).update_presence(channel, change, limit=limit)

    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        """See `Coordinator.list_rooms`."""
        counts: dict[str, int] = {}
        for found in await asyncio.gather(*[shard.list_rooms(alive) for shard in self._shards]):
            counts |= found
        return counts

    def notify(self, channel: str, notification: Notification) -> None:
        """See `Coordinator.notify`."""
        self._of(channel).notify(channel, notification)

    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        """See `Coordinator.update_connections`."""
        return await self._of(USER_PREFIX + user_id).update_connections(user_id, here, gone)

    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        """See `Coordinator.take_tokens`."""
        return await self._of(USER_PREFIX + user_id).take_tokens(user_id, count, interval_s)
