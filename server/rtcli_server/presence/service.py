"""Who is in which room of the deployment: the interface, and its implementation for one instance alone.

`Occupancy` knows the users of this instance. A presence service is notified of each user who is new here, or
gone from here, and announces who is new to the deployment, or gone from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from typing_extensions import override

from rtcli.protocol.messages import MAX_MEMBERS
from rtcli_server.presence.occupancy import Occupancy


class RoomMembers(NamedTuple):
    """Number of users in a room, and up to 200 of them as (user id, name)."""

    total: int
    users: list[tuple[str, str]]


Announce: TypeAlias = Callable[[str, str, str], None]  # room, user id, name


class PresenceService(Protocol):
    """Who is in which room. The coroutines may raise BrokerUnavailableError."""

    async def enter(self, room: str, user_id: str, name: str) -> RoomMembers:
        """Add a user who is new on this instance; return who is in the room then."""
        ...

    def leave(self, room: str, user_id: str, name: str) -> None:
        """Take out a user who is no longer in the room on this instance."""
        ...

    def send_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Tell the other instances that a user is typing, or has stopped."""
        ...

    async def members(self, room: str) -> RoomMembers:
        """Return who is in a room."""
        ...

    async def counts(self) -> dict[str, int]:
        """Number of users of every room that has some."""
        ...


class LocalPresence(PresenceService):
    """Presence of a single instance: a user who is new here is new in the deployment."""

    def __init__(self, occupancy: Occupancy, *, on_joined: Announce, on_left: Announce) -> None:
        self._occupancy = occupancy
        self._on_joined = on_joined
        self._on_left = on_left

    @override
    async def enter(self, room: str, user_id: str, name: str) -> RoomMembers:
        self._on_joined(room, user_id, name)
        return await self.members(room)

    @override
    def leave(self, room: str, user_id: str, name: str) -> None:
        self._on_left(room, user_id, name)

    @override
    def send_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        pass  # there are no other instances

    @override
    async def members(self, room: str) -> RoomMembers:
        occupants, count = self._occupancy.occupants(room, MAX_MEMBERS)
        return RoomMembers(count, [(occupant.user_id, occupant.name) for occupant in occupants])

    @override
    async def counts(self) -> dict[str, int]:
        return self._occupancy.rooms()
