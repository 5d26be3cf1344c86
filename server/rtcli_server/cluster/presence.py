"""Who is in which room when several instances serve it.

What changed in a room is said in one request at a time; what changes meanwhile waits and is said in the
next, only the latest of each user. So a thousand joins cost a few requests. What could not be said is kept
until it can be. Who joined or left the deployment is heard from the store, on every instance alike, and
announced then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from rtcli.protocol.messages import MAX_MEMBERS
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.broker import BrokerUnavailableError, Coordinator, Notification, PresenceChange
from rtcli_server.cluster.membership import Census
from rtcli_server.presence.local import Presence
from rtcli_server.presence.service import Attendees
from rtcli_server.timing.pacing import groups

ROOMS_AT_ONCE = 50  # said again at the same time
PAUSE_S = 0.025  # and the pause after them: 2 000 rooms a second leave Redis its time for the log
LISTED_FOR_S = 1.0  # the list of all rooms is asked for at most that often

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class _Exchange:
    """What is to be said about one room, and who waits for the answer."""

    __slots__ = ("changes", "running", "stale", "waiters")

    def __init__(self) -> None:
        self.changes: dict[str, str | None] = {}
        self.waiters: list[asyncio.Future[Attendees]] = []
        self.running = False
        self.stale = False  # to be said again although nothing changed


class SharedAttendance:
    """The attendance of a deployment. Implements `Attendance`."""

    def __init__(
        self,
        coordinator: Coordinator,
        presence: Presence,
        census: Census,
        *,
        spawn: Spawn,
        now: Callable[[], float],
    ) -> None:
        self._coordinator = coordinator
        self._presence = presence
        self._census = census
        self._spawn = spawn
        self._now = now
        self._exchanges: dict[str, _Exchange] = {}
        self._listed: dict[str, int] = {}
        self._listed_until = 0.0

    # -- what happens here ---------------------------------------------------------------------------------

    async def enter(self, room: str, user_id: str, name: str) -> Attendees:
        """See `Attendance`."""
        return await self._say(room, {user_id: name})

    def leave(self, room: str, user_id: str, name: str) -> None:  # noqa: ARG002 - the interface
        """See `Attendance`."""
        self._exchange(room).changes[user_id] = None
        self._run(room)

    async def members(self, room: str) -> Attendees:
        """See `Attendance`."""
        return await self._say(room, {})

    def tell_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """See `Attendance`."""
        notification = Notification(
            "typing", user_id, name, is_typing=is_typing, by=self._coordinator.instance_id
        )
        self._coordinator.notify(ROOM_PREFIX + room, notification)

    async def counts(self) -> dict[str, int]:
        """See `Attendance`; up to a second old."""
        if self._now() >= self._listed_until:
            found = await self._coordinator.list_rooms(self._census.alive)
            self._listed = {channel.removeprefix(ROOM_PREFIX): count for channel, count in found.items()}
            self._listed_until = self._now() + LISTED_FOR_S
        return self._listed

    def repair(self, room: str, user_id: str) -> bool:
        """Say again that a user is here who was announced to be gone; return whether that is so."""
        name = self._presence.name_of(room, user_id)
        if name is None:
            return False
        self._exchange(room).changes[user_id] = name
        self._run(room)
        return True

    # -- saying it -----------------------------------------------------------------------------------------

    def _exchange(self, room: str) -> _Exchange:
        return self._exchanges.setdefault(room, _Exchange())

    async def _say(self, room: str, changes: dict[str, str | None]) -> Attendees:
        exchange = self._exchange(room)
        exchange.changes |= changes
        answer: asyncio.Future[Attendees] = asyncio.get_running_loop().create_future()
        exchange.waiters.append(answer)
        self._run(room)
        return await answer

    def _run(self, room: str) -> None:
        exchange = self._exchange(room)
        if not exchange.running:
            exchange.running = True
            self._spawn(self._converse(room, exchange))

    async def _converse(self, room: str, exchange: _Exchange) -> None:
        try:
            while exchange.changes or exchange.waiters or exchange.stale:
                await self._exchange_once(room, exchange)
        except BrokerUnavailableError as error:
            # What was not said is said when the store answers again: see `say_again`.
            waiters, exchange.waiters = exchange.waiters, []
            _refuse(waiters, error)
        finally:
            exchange.running = False
            if not exchange.changes:
                self._exchanges.pop(room, None)

    async def _exchange_once(self, room: str, exchange: _Exchange) -> None:
        changes, exchange.changes = exchange.changes, {}
        waiters, exchange.waiters = exchange.waiters, []
        exchange.stale = False
        own = self._presence.has_users(room)
        # One who only asks about a room that is none of ours says nothing about it.
        here = own if own or changes else None
        try:
            change = PresenceChange(changes, here, self._census.dead)
            found = await self._coordinator.update_presence(
                ROOM_PREFIX + room, change, limit=MAX_MEMBERS if waiters else 0
            )
        except BrokerUnavailableError as error:
            exchange.changes = {**changes, **exchange.changes}
            _refuse(waiters, error)
            raise
        self._census.met(found.instances)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(Attendees(found.total, found.users))

    async def say_again(self) -> None:
        """Say everything that holds here, room by room, and what could not be said; this reaps the dead."""
        for group in groups({*self._presence.rooms(), *self._exchanges}, ROOMS_AT_ONCE):
            for room in group:
                exchange = self._exchange(room)
                exchange.stale = True
                # What is about to be said of a user is newer.
                exchange.changes = {**self._presence.names(room), **exchange.changes}
                self._run(room)
            await asyncio.sleep(PAUSE_S)


def _refuse(waiters: Iterable[asyncio.Future[Attendees]], error: BrokerUnavailableError) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)
