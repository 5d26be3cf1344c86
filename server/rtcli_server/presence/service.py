"""Who is in which room, in the whole deployment: the interface, and what it is for one instance alone.

`Presence` knows the users of this instance. An attendance is told of each user who is new here, or gone from
here, and makes known who is new to the deployment, or gone from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from rtcli.protocol.messages import MAX_MEMBERS
from rtcli_server.presence.local import Presence


class Attendees(NamedTuple):
    """How many users a room has, and up to 200 of them as (user id, name)."""

    total: int
    users: list[tuple[str, str]]


Announce = Callable[[str, str, str], None]  # room, user id, name


class Attendance(Protocol):
    """Who is in which room. The coroutines raise BrokerUnavailableError where others are asked."""

    async def enter(self, room: str, user_id: str, name: str) -> Attendees:
        """Take in a user who is new here; give who is there then."""
        ...

    def leave(self, room: str, user_id: str, name: str) -> None:
        """Take out a user who has nothing open in the room here any more."""
        ...

    def tell_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Tell the other instances; this one knows."""
        ...

    async def members(self, room: str) -> Attendees:
        """Give who is in a room."""
        ...

    async def counts(self) -> dict[str, int]:
        """Every room that has users, with their number."""
        ...


class LocalAttendance:
    """One instance alone: what is new here is new. Implements `Attendance`."""

    def __init__(self, presence: Presence, *, on_joined: Announce, on_left: Announce) -> None:
        self._presence = presence
        self._on_joined = on_joined
        self._on_left = on_left

    async def enter(self, room: str, user_id: str, name: str) -> Attendees:
        """See `Attendance`."""
        self._on_joined(room, user_id, name)
        return await self.members(room)

    def leave(self, room: str, user_id: str, name: str) -> None:
        """See `Attendance`."""
        self._on_left(room, user_id, name)

    def tell_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """There is nobody to tell."""

    async def members(self, room: str) -> Attendees:
        """See `Attendance`."""
        occupants, count = self._presence.occupants(room, MAX_MEMBERS)
        return Attendees(count, [(occupant.user_id, occupant.name) for occupant in occupants])

    async def counts(self) -> dict[str, int]:
        """See `Attendance`."""
        return self._presence.rooms()
