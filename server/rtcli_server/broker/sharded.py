"""Several stores used as one: each channel, room and user belongs to one shard, always the same."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Sequence

from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import USER_PREFIX, Position
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker.base import Broker, Deliver, HistoryPage, Published, ReportLost, UserWatcher
from rtcli_server.broker.coordinator import (
    Coordinator,
    HeartbeatReply,
    Notification,
    OnNotification,
    PresenceChange,
    RoomUsers,
)
from rtcli_server.broker.validation import CONTROL


class ShardedBroker(Broker):
    """Spreads channels over brokers by a checksum of their names.

    Every instance must be given the same shards in the same order. Adding one moves channels, which then
    begin with a new epoch there.
    """

    def __init__(self, shards: Sequence[Broker]) -> None:
        self._shards = shards
        coordinators = [shard.coordinator for shard in shards if shard.coordinator is not None]
        is_shared = len(coordinators) == len(shards)
        self._coordinator = ShardedCoordinator(coordinators, self._index) if is_shared else None

    def _index(self, channel: str) -> int:
        return zlib.crc32(channel.encode()) % len(self._shards)

    def _shard(self, channel: str) -> Broker:
        return self._shards[self._index(channel)]

    @property
    @override
    def coordinator(self) -> Coordinator | None:
        return self._coordinator

    @override
    def publish(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None = None,
        time_ms: int,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        return self._shard(channel).publish(channel, event, data, key=key, time_ms=time_ms, exclude=exclude)

    @override
    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        return await self._shard(channel).history(channel, since=since, limit=limit)

    @override
    def subscribe(self, channel: str) -> None:
        self._shard(channel).subscribe(channel)

    @override
    def unsubscribe(self, channel: str) -> None:
        self._shard(channel).unsubscribe(channel)

    @override
    async def run(
        self,
        deliver: Deliver,
        lost: ReportLost | None = None,
        on_notification: OnNotification | None = None,
        users: UserWatcher | None = None,
    ) -> None:
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(shard.run(deliver, lost, on_notification, users))

    @override
    async def revoke(self, revocation: Revocation) -> None:
        await self._shard(CONTROL).revoke(revocation)

    @override
    async def revocations(self) -> list[Revocation]:
        return await self._shard(CONTROL).revocations()

    @override
    async def ready(self) -> bool:
        return all([await shard.ready() for shard in self._shards])

    @override
    async def close(self) -> None:
        await asyncio.gather(*[shard.close() for shard in self._shards])


class ShardedCoordinator(Coordinator):
    """Spreads rooms and users over `shards`: `index(channel)` gives the place of one in that sequence."""

    def __init__(self, shards: Sequence[Coordinator], index: Callable[[str], int]) -> None:
        self._shards = shards
        self._index = index
        self.instance_id = shards[0].instance_id
        self.ttl_s = min(shard.ttl_s for shard in shards)

    def _shard(self, channel: str) -> Coordinator:
        return self._shards[self._index(channel)]

    @override
    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        """Send one to each shard: an instance lives as long as one of them says so."""
        replies = await asyncio.gather(*[shard.heartbeat(lease_s) for shard in self._shards])
        alive = frozenset[str]().union(*[reply.alive for reply in replies])
        return HeartbeatReply(alive, all(reply.remembered for reply in replies))

    @override
    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        return await self._shard(channel).update_presence(channel, change, limit=limit)

    @override
    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for found in await asyncio.gather(*[shard.list_rooms(alive) for shard in self._shards]):
            counts |= found
        return counts

    @override
    def notify(self, channel: str, notification: Notification) -> None:
        self._shard(channel).notify(channel, notification)

    @override
    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        return await self._shard(USER_PREFIX + user_id).update_connections(user_id, here, gone)

    @override
    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        return await self._shard(USER_PREFIX + user_id).take_tokens(user_id, count, interval_s)
