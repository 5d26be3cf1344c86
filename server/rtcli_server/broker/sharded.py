"""One log over several: each channel has its place in one of them, always the same."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

from rtcli.protocol.position import Position
from rtcli_server.broker.base import Broker, Deliver, HistoryPage, Published, ReportLost
from rtcli_server.broker.sharded_coordinator import ShardedCoordinator


class ShardedBroker:
    """Spreads channels over brokers by a checksum of their names. Implements `Broker`.

    Every instance must be given the same shards in the same order. Adding one moves channels, which then
    begin with a new epoch there.
    """

    def __init__(self, shards: Sequence[Broker]) -> None:
        self._shards = shards
        coordinators = [shard.coordinator for shard in shards if shard.coordinator is not None]
        self.coordinator = (
            ShardedCoordinator(coordinators, self._place) if len(coordinators) == len(shards) else None
        )

    def _place(self, channel: str) -> int:
        return zlib.crc32(channel.encode()) % len(self._shards)

    def _of(self, channel: str) -> Broker:
        return self._shards[self._place(channel)]

    def publish(
        self, channel: str, event: str, data: bytes, *, key: str | None = None, time_ms: int
    ) -> asyncio.Future[Published]:
        """See `Broker.publish`."""
        return self._of(channel).publish(channel, event, data, key=key, time_ms=time_ms)

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        """See `Broker.history`."""
        return await self._of(channel).history(channel, since=since, limit=limit)

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._of(channel).subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._of(channel).unsubscribe(channel)

    async def run(self, deliver: Deliver, lost: ReportLost | None = None) -> None:
        """Run all of them. See `Broker.run`."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(shard.run(deliver, lost))

    async def ready(self) -> bool:
        """Whether all of them are."""
        return all([await shard.ready() for shard in self._shards])

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*[shard.close() for shard in self._shards])
