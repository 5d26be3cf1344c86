"""Who is in which room, by user and not by connection (protocol.md, section 3).

A second tab joins silently, and leaves silently while the first stays. A lost connection keeps its user
present for a grace period, so that one who comes back within it was never seen to go; leaving takes effect at
once. Nothing here is sent or logged: the callers announce what these functions return.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from rtcli_server.delivery.channel import Subscription
from rtcli_server.timing.timer_wheel import TimerWheel


class Occupant:
    """One user in one room. On the wheel while only the grace period keeps it here."""

    __slots__ = ("_presence", "name", "room", "slot", "subscriptions", "user_id")

    def __init__(self, presence: Presence, room: str, user_id: str, name: str) -> None:
        self._presence = presence
        self.room = room
        self.user_id = user_id
        self.name = name
        self.subscriptions: list[Subscription] = []
        self.slot = 0

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """End the grace period."""
        self._presence.expire(self)


class Presence:
    """The users of all rooms on this instance. `on_left(occupant)` is called when a grace period ends."""

    def __init__(self, wheel: TimerWheel, *, grace_s: float, on_left: Callable[[Occupant], None]) -> None:
        self._wheel = wheel
        self._grace_s = grace_s
        self._on_left = on_left
        self._rooms: dict[str, dict[str, Occupant]] = {}

    def enter(self, room: str, user_id: str, name: str, subscription: Subscription) -> bool:
        """Add a connection; return whether the user was not here before (announce `user_joined`)."""
        users = self._rooms.setdefault(room, {})
        occupant = users.get(user_id)
        is_new = occupant is None
        if occupant is None:
            occupant = users[user_id] = Occupant(self, room, user_id, name)
        occupant.name = name
        occupant.subscriptions.append(subscription)
        self._wheel.cancel(occupant)
        return is_new

    def leave(self, room: str, user_id: str, subscription: Subscription) -> Occupant | None:
        """Take a connection out; return the user when that was its last one (announce `user_left`)."""
        occupant = self._take_out(room, user_id, subscription)
        if occupant is None or occupant.subscriptions:
            return None
        self._forget(occupant)
        return occupant

    def lose(self, room: str, user_id: str, subscription: Subscription, now: float) -> None:
        """Take a lost connection out; its user stays for the grace period."""
        occupant = self._take_out(room, user_id, subscription)
        if occupant is not None and not occupant.subscriptions:
            self._wheel.schedule(occupant, now + self._grace_s)

    def expire(self, occupant: Occupant) -> None:
        """End a grace period in which nobody came back."""
        self._forget(occupant)
        self._on_left(occupant)

    def _take_out(self, room: str, user_id: str, subscription: Subscription) -> Occupant | None:
        occupant = self._rooms.get(room, {}).get(user_id)
        if occupant is None or subscription not in occupant.subscriptions:
            return None
        occupant.subscriptions.remove(subscription)
        return occupant

    def _forget(self, occupant: Occupant) -> None:
        self._wheel.cancel(occupant)
        users = self._rooms[occupant.room]
        del users[occupant.user_id]
        if not users:
            del self._rooms[occupant.room]

    # -- questions -----------------------------------------------------------------------------------------

    def occupants(self, room: str, limit: int) -> tuple[list[Occupant], int]:
        """Up to `limit` users of a room, in order of arrival, and how many there are."""
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
        """The users of a room with their names."""
        return {user_id: occupant.name for user_id, occupant in self._rooms.get(room, {}).items()}

    def name_of(self, room: str, user_id: str) -> str | None:
        """The name of a user, or None who is not in the room."""
        occupant = self._rooms.get(room, {}).get(user_id)
        return None if occupant is None else occupant.name

    def rooms(self) -> dict[str, int]:
        """Every room that has users, with their number."""
        return {room: len(users) for room, users in self._rooms.items()}
