"""Instances that share several stores: each room and each user has its place in one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from rtcli.protocol.position import USER_PREFIX
from rtcli_server.broker.coordinator import Beat, Notice, OnNotice, Peers, PresenceChange, RoomUsers


class ShardedPeers:
    """Spreads what is said over `shards`, by channel as `place(channel)` says. Implements `Peers`."""

    def __init__(self, shards: Sequence[Peers], place: Callable[[str], int]) -> None:
        self._shards = shards
        self._place = place
        self.instance_id = shards[0].instance_id
        self.ttl_s = min(shard.ttl_s for shard in shards)

    @property
    def on_notice(self) -> OnNotice | None:
        """See `Peers`."""
        return self._shards[0].on_notice

    @on_notice.setter
    def on_notice(self, hear: OnNotice | None) -> None:
        for shard in self._shards:
            shard.on_notice = hear

    def _of(self, channel: str) -> Peers:
        return self._shards[self._place(channel)]

    async def beat(self, lease_s: float) -> Beat:
        """Live in all of them: an instance is alive as long as one says so."""
        beats = await asyncio.gather(*[shard.beat(lease_s) for shard in self._shards])
        alive = frozenset[str]().union(*[beat.alive for beat in beats])
        return Beat(alive, all(beat.remembered for beat in beats))

    async def presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        """See `Peers.presence`."""
        return await self._of(channel).presence(channel, change, limit=limit)

    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        """See `Peers.list_rooms`."""
        counts: dict[str, int] = {}
        for found in await asyncio.gather(*[shard.list_rooms(alive) for shard in self._shards]):
            counts |= found
        return counts

    def tell(self, channel: str, notice: Notice) -> None:
        """See `Peers.tell`."""
        self._of(channel).tell(channel, notice)

    async def connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        """See `Peers.connections`."""
        return await self._of(USER_PREFIX + user_id).connections(user_id, here, gone)

    async def spend(self, user_id: str, count: int, interval_s: float) -> float:
        """See `Peers.spend`."""
        return await self._of(USER_PREFIX + user_id).spend(user_id, count, interval_s)
