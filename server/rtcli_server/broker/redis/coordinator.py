"""The coordinator in Redis: broker/coordinator.py has its promises, the `*.lua` files have each step.

Keys, with the prefix `rt`: `rt:{instances}` who lives; `rt:{room:a}:i` and `:u` who is in a room;
`rt:{instance:ID}:r` the rooms of one instance; `rt:{user:7}:c` and `:r` a user's connections and rate. All
expire by themselves: those of rooms and users when no instance has repeated them for `ttl_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
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
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.redis.link import Link, pack
from rtcli_server.broker.redis.scripts import CoordinatorScripts
from rtcli_server.broker.redis.wire import NOTIFICATION_MARK, Names
from rtcli_server.broker.validation import ForeignDataError, check_member, is_instance_id, is_room_channel
from rtcli_server.timing.pacing import batched

READS_AT_ONCE = 1_000

T = TypeVar("T")
F = TypeVar("F")


class RedisCoordinator(Coordinator):
    """The coordinator of the instances that share one Redis.

    `link()` carries the requests. `known(channel)` waits until a tracked channel is subscribed,
    so that no notification is missed after its users were listed.
    """

    def __init__(
        self,
        names: Names,
        link: Callable[[], Link],
        known: Callable[[str], Awaitable[None]],
        *,
        instance_id: str,
        ttl_s: float,
        foreign: ForeignContent,
    ) -> None:
        self.instance_id = instance_id
        self._foreign = foreign
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
        remembered, found = await self._request(packed, _parse_heartbeat, self._instances_key)
        alive = self._instances("instances", found)
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
        await self._known(channel)
        here = b"" if change.here is None else b"%d" % change.here
        arguments = [self._own, here, self._ttl_ms, b"%d" % limit, pubsub_channel, _joined(change.gone)]
        for user, name in change.users.items():
            arguments += (b"-", user.encode(), b"") if name is None else (b"+", user.encode(), name.encode())
        keys = [self._names.of(channel, "i"), self._names.of(channel, "u")]
        answer = self._request(self.scripts.call("presence", keys, *arguments), _parse_room, keys[0])
        if change.here is not None:
            await self._index(channel, here=change.here)
        count, instances, found = await answer
        members = self._members(channel, found)
        return RoomUsers(
            count - (len(found) - len(members)), self._instances(channel, instances), members[:limit]
        )

    def _instances(self, where: str, found: Iterable[bytes]) -> frozenset[str]:
        """Those whose names are possible. A name goes into requests, with spaces between them."""
        return frozenset(self._valid(where, found, _instance))

    def _members(self, channel: str, found: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        def check(pair: tuple[bytes, bytes]) -> tuple[str, str]:
            user, value = pair
            return check_member(_text(user), _text(value).partition("\n")[2])

        return self._valid(channel, found.items(), check)

    def _valid(self, where: str, found: Iterable[F], check: Callable[[F], T]) -> list[T]:
        """What `check` makes of each, without what is not ours."""
        valid = []
        for one in found:
            try:
                valid.append(check(one))
            except ForeignDataError as error:
                self._foreign.skip(Place.PRESENCE, where, error)
        return valid

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
            found = await self._request(pack([b"SMEMBERS", key]), _parse_names, key)
            channels |= set(self._valid("rooms", found, _room_channel))
        counts: dict[str, int] = {}
        for batch in batched(sorted(channels), READS_AT_ONCE):
            keys = [self._names.of(channel, "u") for channel in batch]
            lengths = [self._request(pack([b"HLEN", key]), int, key) for key in keys]
            counts |= zip(batch, await asyncio.gather(*lengths), strict=True)
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


def _parse_heartbeat(answer: object) -> tuple[bool, list[bytes]]:
    match answer:
        case [int(remembered), list(alive)]:
            return remembered == 1, _all_bytes(alive)
    raise ForeignDataError("not an answer of heartbeat.lua")


def _parse_room(answer: object) -> tuple[int, list[bytes], dict[bytes, bytes]]:
    match answer:
        case [int(count), list(instances), list(shown)]:
            found = _all_bytes(shown)
            pairs = zip(found[::2], found[1::2], strict=True)
            return count, _all_bytes(instances), dict(pairs)  # HSCAN may show one twice
    raise ForeignDataError("not an answer of presence.lua")


def _parse_names(answer: object) -> list[bytes]:
    match answer:
        case [*names]:
            return _all_bytes(names)
    raise ForeignDataError("not a set of names")


def _all_bytes(values: Iterable[object]) -> list[bytes]:
    return [value for value in values if isinstance(value, bytes)]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ForeignDataError(str(error)) from error


def _instance(name: bytes) -> str:
    text = _text(name)
    if not is_instance_id(text):
        raise ForeignDataError("not an instance")
    return text


def _room_channel(name: bytes) -> str:
    text = _text(name)
    if not is_room_channel(text):
        raise ForeignDataError("not a room")
    return text
