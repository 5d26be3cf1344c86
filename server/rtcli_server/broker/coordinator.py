"""What the instances of one deployment share besides the log: which of them live, and who is where.

Nothing here is durable. What an instance has said holds while it sends heartbeats, and is said again when it
may have been forgotten; the keys of an instance that is gone expire by themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple, Protocol

import msgspec


class Notification(msgspec.Struct, omit_defaults=True):
    """An ephemeral event of a room, for every instance that has members there.

    `joined` and `left` are about a user in the whole deployment; `typing` comes from the instance `by`.
    """

    kind: Literal["joined", "left", "typing"]
    user: str
    name: str
    is_typing: bool = False
    by: str = ""


class HeartbeatReply(NamedTuple):
    """The answer to a heartbeat.

    `alive`: every instance whose lease runs, this one included. `remembered`: the store still has what this
    instance has said; otherwise (its lease had ended, the connection is a new one) it must say it again.
    """

    alive: frozenset[str]
    remembered: bool


class PresenceChange(NamedTuple):
    """What an instance reports about a room.

    `users`: who has joined (with their name) or left (None) since the last report. `here`: whether the
    instance has users there; None when it only asks. `gone`: instances known to be dead, whose users are to
    be removed.
    """

    users: Mapping[str, str | None]
    here: bool | None
    gone: Collection[str]


class RoomUsers(NamedTuple):
    """Who is in a room: how many, on which instances, and some of them as (user id, name)."""

    total: int
    instances: frozenset[str]
    users: list[tuple[str, str]]


def new_instance_id() -> str:
    """Make an id for one run of an instance: 8 hexadecimal digits."""
    return secrets.token_hex(4)


# Called with the channel of each notification that arrives, the instance's own ones included.
OnNotification = Callable[[str, Notification], None]


class Coordinator(Protocol):
    """What this instance tells the others and learns from them, through the store that they share.

    What others notify arrives at the `on_notification` of `Broker.run`. Every coroutine raises
    BrokerUnavailableError; nothing is retried here, and every call may be repeated.
    """

    instance_id: str
    ttl_s: float  # what is not said again within this time is forgotten

    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        """Say that this instance lives for another `lease_s` seconds, and learn which others do."""
        ...

    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        """Report who joined and left, and learn who is there (up to `limit` by name), as one step.

        All instances are notified of each user who is new in the whole deployment or gone from it.
        """
        ...

    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        """Every room channel in which these instances have users, with the number of users."""
        ...

    def notify(self, channel: str, notification: Notification) -> None:
        """Send a notification to all instances that subscribe to the channel. It may get lost."""
        ...

    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        """Report how many connections a user has here; return how many elsewhere, without `gone` ones."""
        ...

    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        """Take `count` tokens from a user's shared bucket, which gains one every `interval_s` seconds.

        Returns the seconds until that bucket is full again.
        """
        ...
