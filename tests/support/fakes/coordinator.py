"""A coordinator in memory, which keeps every request and answers when it is allowed to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from typing_extensions import override

from rtcli_server.broker import BrokerUnavailableError, Coordinator, PresenceChange
from rtcli_server.broker.coordinator import HeartbeatReply, Notification, RoomUsers


class FakeCoordinator(Coordinator):
    """Answers are attributes. `away` makes every request fail; while `open` is clear, requests wait."""

    instance_id = "me"
    ttl_s = 600.0

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.presence_requests: list[tuple[str, dict[str, str | None], bool | None]] = []
        self.room_lists = 0
        self.leases: list[float] = []
        self.heartbeat_came = asyncio.Event()
        self.alive = frozenset({"me"})
        self.remembered = True
        self.connection_requests: list[tuple[str, int]] = []
        self.connections_elsewhere = 0
        self.token_requests: list[tuple[str, int, float]] = []
        self.full_in_s = 0.0

    async def _answer(self) -> None:
        await self.open.wait()
        if self.away:
            raise BrokerUnavailableError("away")

    @override
    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        self.leases.append(lease_s)
        self.heartbeat_came.set()
        await self._answer()
        return HeartbeatReply(self.alive, self.remembered)

    @override
    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        self.presence_requests.append((channel, dict(change.users), change.here))
        await self._answer()
        return RoomUsers(len(change.users), frozenset({"me", "you"}), [("7", "Ann")][:limit])

    @override
    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        self.room_lists += 1
        await self._answer()
        return {"room:a": 3}

    @override
    def notify(self, channel: str, notification: Notification) -> None:
        raise NotImplementedError

    @override
    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        self.connection_requests.append((user_id, here))
        await self._answer()
        return self.connections_elsewhere

    @override
    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        self.token_requests.append((user_id, count, interval_s))
        await self._answer()
        return self.full_in_s
