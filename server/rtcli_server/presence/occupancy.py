"""The users of all rooms on this instance. Pure: nothing is sent, logged or timed here.

Users count, not connections (protocol.md, section 3): a second tab joins silently, and leaves silently while
the first one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rtcli_server.delivery.channel import Subscription


class Occupant:
    """One user in one room. Without subscriptions while only a grace period keeps the user there."""

    __slots__ = ("name", "subscriptions", "user_id")

    def __init__(self, user_id: str, name: str) -> None:
        self.user_id = user_id
        self.name = name
        self.subscriptions: list[Subscription] = []


class Occupancy:
    """Who is in which room."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Occupant]] = {}

    # -- changes -------------------------------------------------------------------------------------------

    def add(self, room: str, user_id: str, name: str, subscription: Subscription) -> bool:
        """Add a connection of a user; return whether the user is new in the room."""
        users = self._rooms.setdefault(room, {})
        occupant = users.get(user_id)
        is_new = occupant is None
        if occupant is None:
            occupant = users[user_id] = Occupant(user_id, name)
        occupant.name = name
        occupant.subscriptions.append(subscription)
        return is_new

    def discard(self, room: str, user_id: str, subscription: Subscription) -> bool:
        """Take a connection out; return whether it was its user's last one. The user stays until `remove`."""
        occupant = self._rooms.get(room, {}).get(user_id)
        if occupant is None or subscription not in occupant.subscriptions:
            return False
        occupant.subscriptions.remove(subscription)
        return not occupant.subscriptions

    def remove(self, room: str, user_id: str) -> str:
        """Take out a user who is in the room; return the user's name."""
        users = self._rooms[room]
        occupant = users.pop(user_id)
        if not users:
            del self._rooms[room]
        return occupant.name

    # -- questions -----------------------------------------------------------------------------------------

    def occupants(self, room: str, limit: int) -> tuple[list[Occupant], int]:
        """Up to `limit` users of a room, in order of arrival, and their total number."""
        users = self._rooms.get(room, {})
        return list(islice(users.values(), limit)), len(users)

    def subscriptions_of(self, room: str, user_id: str) -> Sequence[Subscription]:
        """A user's connections in a room."""
        occupant = self._rooms.get(room, {}).get(user_id)
        return () if occupant is None else occupant.subscriptions

    def has_users(self, room: str) -> bool:
        """Whether anybody is in a room."""
        return room in self._rooms

    def names(self, room: str) -> dict[str, str]:
        """The names of a room's users, by user id."""
        return {user_id: occupant.name for user_id, occupant in self._rooms.get(room, {}).items()}

    def name_of(self, room: str, user_id: str) -> str | None:
        """The name of a user; None when the user is not in the room."""
        occupant = self._rooms.get(room, {}).get(user_id)
        return None if occupant is None else occupant.name

    def rooms(self) -> dict[str, int]:
        """Number of users of every room that has some."""
        return {room: len(users) for room, users in self._rooms.items()}
