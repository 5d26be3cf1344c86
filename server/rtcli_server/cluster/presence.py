"""Who is in which room when several instances serve it.

Changes of a room go to the store in one request at a time; of each user only the latest change. Which users
joined or left the deployment is announced by the store to all instances alike, this one included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from typing_extensions import override

from rtcli.protocol.messages import MAX_MEMBERS
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.broker import BrokerUnavailableError, Coordinator, Notification, PresenceChange, refuse
from rtcli_server.cluster.exchange import Exchange, Exchanges
from rtcli_server.cluster.membership import ClusterMembership
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.presence.service import PresenceService, RoomMembers
from rtcli_server.timing.tasks import Spawn

COUNTS_TTL_S = 1.0  # the list of all rooms is asked for at most that often


class _RoomExchange(Exchange):
    """What is to be sent about one room, and who waits for the answer."""

    __slots__ = ("changes", "repeat", "waiters")

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, str | None] = {}  # user id: name, or None for a user who left
        self.waiters: list[asyncio.Future[RoomMembers]] = []
        self.repeat = False  # send although nothing has changed

    @property
    @override
    def pending(self) -> bool:
        return bool(self.changes or self.waiters or self.repeat)

    @override
    def fail(self, error: BrokerUnavailableError) -> None:
        waiters, self.waiters = self.waiters, []
        self.repeat = False
        _fail_all(waiters, error)


class ClusterPresence(PresenceService):
    """The presence of a deployment of several instances."""

    def __init__(
        self,
        coordinator: Coordinator,
        occupancy: Occupancy,
        membership: ClusterMembership,
        *,
        spawn: Spawn,
        now: Callable[[], float],
    ) -> None:
        self._coordinator = coordinator
        self._occupancy = occupancy
        self._membership = membership
        self._now = now
        self._exchanges = Exchanges(_RoomExchange, self._send, spawn=spawn)
        self._counts: dict[str, int] = {}
        self._counts_until = 0.0

    # -- what happens here ---------------------------------------------------------------------------------

    @override
    async def enter(self, room: str, user_id: str, name: str) -> RoomMembers:
        return await self._ask(room, {user_id: name})

    @override
    def leave(self, room: str, user_id: str, name: str) -> None:
        self._exchanges.of(room).changes[user_id] = None
        self._exchanges.start(room)

    @override
    async def members(self, room: str) -> RoomMembers:
        return await self._ask(room, {})

    @override
    def send_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        by = self._coordinator.instance_id
        notification = Notification("typing", user_id, name, is_typing=is_typing, by=by)
        self._coordinator.notify(ROOM_PREFIX + room, notification)

    @override
    async def counts(self) -> dict[str, int]:
        """Number of users of every room that has some; up to a second old."""
        if self._now() >= self._counts_until:
            found = await self._coordinator.list_rooms(self._membership.alive)
            self._counts = {channel.removeprefix(ROOM_PREFIX): count for channel, count in found.items()}
            self._counts_until = self._now() + COUNTS_TTL_S
        return self._counts

    def repair(self, room: str, user_id: str) -> bool:
        """Announce again a user who is here but was announced to have left; return whether that is so."""
        name = self._occupancy.name_of(room, user_id)
        if name is None:
            return False
        self._exchanges.of(room).changes[user_id] = name
        self._exchanges.start(room)
        return True

    async def reannounce(self) -> None:
        """Announce all users here again, room by room, and what was not sent. This takes out the dead."""
        await self._exchanges.reannounce(self._occupancy.rooms(), self._repeat_all)

    # -- requests ------------------------------------------------------------------------------------------

    def _repeat_all(self, room: str, exchange: _RoomExchange) -> None:
        exchange.repeat = True
        # A change that is not sent yet is newer.
        exchange.changes = {**self._occupancy.names(room), **exchange.changes}

    async def _ask(self, room: str, changes: dict[str, str | None]) -> RoomMembers:
        exchange = self._exchanges.of(room)
        exchange.changes |= changes
        answer: asyncio.Future[RoomMembers] = asyncio.get_running_loop().create_future()
        exchange.waiters.append(answer)
        self._exchanges.start(room)
        return await answer

    async def _send(self, room: str, exchange: _RoomExchange) -> None:
        changes, exchange.changes = exchange.changes, {}
        waiters, exchange.waiters = exchange.waiters, []
        exchange.repeat = False
        has_users = self._occupancy.has_users(room)
        # A request that only asks about a room without users here must not say anything about it.
        here = has_users if has_users or changes else None
        change = PresenceChange(changes, here, self._membership.dead)
        limit = MAX_MEMBERS if waiters else 0
        try:
            found = await self._coordinator.update_presence(ROOM_PREFIX + room, change, limit=limit)
        except BrokerUnavailableError as error:
            exchange.changes = {**changes, **exchange.changes}
            _fail_all(waiters, error)
            raise
        self._membership.observe(found.instances)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(RoomMembers(found.total, found.users))


def _fail_all(waiters: Iterable[asyncio.Future[RoomMembers]], error: BrokerUnavailableError) -> None:
    for waiter in waiters:
        refuse(waiter, error)
