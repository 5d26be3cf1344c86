"""The coordinator in Redis: broker/coordinator.py has its promises, the `*.lua` files have each step.

Keys, with the prefix `rt`: `rt:{instances}` who lives; `rt:{room:a}:i` and `:u` who is in a room;
`rt:{instance:ID}:r` the rooms of one instance; `rt:{user:7}:c` and `:r` a user's connections and rate. All
expire by themselves: those of rooms and users when no instance has repeated them for `ttl_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, TypeVar

import msgspec
from typing_extensions import override

from rtcli.protocol.position import USER_PREFIX
from rtcli_server.broker.coordinator import (
    Coordinator,
    HeartbeatReply,
    Notification,
    PresenceChange,
    RoomUsers,
)
from rtcli_server.broker.redis.link import Link, pack
from rtcli_server.broker.redis.scripts import CoordinatorScripts
from rtcli_server.broker.redis.wire import NOTIFICATION_MARK, ForeignDataError, Names
from rtcli_server.timing.pacing import batched

READS_AT_ONCE = 1_000

T = TypeVar("T")


class RedisCoordinator(Coordinator):
    """The coordinator of the instances that share one Redis.

    `link()` carries the requests. `known(pubsub_channel)` waits until a tracked channel is subscribed,
    so that no notification is missed after its users were listed.
    """

    def __init__(
        self,
        names: Names,
        link: Callable[[], Link],
        known: Callable[[bytes], Awaitable[None]],
        *,
        instance_id: str,
        ttl_s: float,
    ) -> None:
        self.instance_id = instance_id
        self.ttl_s = ttl_s
        self.scripts = CoordinatorScripts()
        self._names = names
        self._link = link
        self._known = known
        self._own = instance_id.encode()
        self._ttl_ms = b"%d" % int(ttl_s * 1000)
        self._instances_key = names.of("instances")
        self._connects = 0  # of the link, when the latest heartbeat was sent
        self._rooms: set[str] = set()  # where this instance has reported users

    def _request(self, packed: bytes, parse: Callable[[Any], T], key: bytes) -> asyncio.Future[T]:
        return self._link().request(packed, parse, key)

    # -- which instances live --------------------------------------------------------------------------------

    @override
    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        connects = self._link().connects
        lease_ms = b"%d" % max(1, int(lease_s * 1000))
        packed = self.scripts.call("heartbeat", [self._instances_key], self._own, lease_ms)
        remembered, alive = await self._request(packed, _parse_heartbeat, self._instances_key)
        remembered = remembered and connects == self._connects
        self._connects = connects
        if not remembered:
            self._rooms.clear()
        elif self._rooms:
            await self._expire(self._rooms_key(self.instance_id))
        return HeartbeatReply(alive, remembered)

    def _expire(self, key: bytes) -> asyncio.Future[bool]:
        return self._request(pack([b"PEXPIRE", key, self._ttl_ms]), bool, key)

    # -- rooms ---------------------------------------------------------------------------------------------

    @override
    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        pubsub_channel = self._names.pubsub_channel(channel)
        await self._known(pubsub_channel)
        here = b"" if change.here is None else b"%d" % change.here
        arguments = [self._own, here, self._ttl_ms, b"%d" % limit, pubsub_channel, _joined(change.gone)]
        for user, name in change.users.items():
            arguments += (b"-", user.encode(), b"") if name is None else (b"+", user.encode(), name.encode())
        keys = [self._names.of(channel, "i"), self._names.of(channel, "u")]
        answer = self._request(self.scripts.call("presence", keys, *arguments), _parse_room, keys[0])
        if change.here is not None:
            await self._index(channel, here=change.here)
        room = await answer
        return room._replace(users=room.users[:limit])

    async def _index(self, channel: str, *, here: bool) -> None:
        """Keep the set of the rooms in which this instance has users."""
        if here == (channel in self._rooms):
            return
        key = self._rooms_key(self.instance_id)
        change = pack([b"SADD" if here else b"SREM", key, channel.encode()])
        await asyncio.gather(self._request(change, bool, key), self._expire(key))
        (self._rooms.add if here else self._rooms.discard)(channel)

    def _rooms_key(self, instance: str) -> bytes:
        return self._names.of(f"instance:{instance}", "r")

    @override
    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        channels: set[str] = set()
        for key in map(self._rooms_key, alive):
            channels |= await self._request(pack([b"SMEMBERS", key]), _parse_names, key)
        counts: dict[str, int] = {}
        for batch in batched(sorted(channels), READS_AT_ONCE):
            keys = [self._names.of(channel, "u") for channel in batch]
            found = [self._request(pack([b"HLEN", key]), int, key) for key in keys]
            counts |= zip(batch, await asyncio.gather(*found), strict=True)
        return {channel: count for channel, count in counts.items() if count}

    @override
    def notify(self, channel: str, notification: Notification) -> None:
        pubsub_channel = self._names.pubsub_channel(channel)
        packed = pack([b"PUBLISH", pubsub_channel, NOTIFICATION_MARK + msgspec.json.encode(notification)])
        self._request(packed, int, pubsub_channel)

    # -- users ---------------------------------------------------------------------------------------------

    @override
    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        key = self._names.of(USER_PREFIX + user_id, "c")
        packed = self.scripts.call("connections", [key], self._own, b"%d" % here, self._ttl_ms, _joined(gone))
        return await self._request(packed, int, key)

    @override
    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        key = self._names.of(USER_PREFIX + user_id, "r")
        packed = self.scripts.call("take_tokens", [key], b"%d" % count, b"%d" % max(1, int(interval_s * 1e6)))
        return await self._request(packed, int, key) / 1e6


def _joined(instances: Collection[str]) -> bytes:
    return " ".join(instances).encode()


def _parse_heartbeat(answer: object) -> tuple[bool, frozenset[str]]:
    match answer:
        case [int(remembered), list(alive)]:
            return remembered == 1, frozenset(_texts(alive))
    raise ForeignDataError("not an answer of heartbeat.lua")


def _parse_room(answer: object) -> RoomUsers:
    match answer:
        case [int(count), list(instances), list(shown)]:
            pairs = zip(shown[::2], shown[1::2], strict=True)
            users = {_text(user): _name(value) for user, value in pairs}  # HSCAN may show one twice
            return RoomUsers(count, frozenset(_texts(instances)), list(users.items()))
    raise ForeignDataError("not an answer of presence.lua")


def _parse_names(answer: object) -> set[str]:
    match answer:
        case [*names]:
            return set(_texts(names))
    raise ForeignDataError("not a set of names")


def _texts(values: Iterable[object]) -> list[str]:
    return [_text(value) for value in values]


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def _name(value: object) -> str:
    return _text(value).partition("\n")[2]
