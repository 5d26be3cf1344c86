"""What the instances of one deployment tell each other besides the log: who is where, and how much of it.

Nothing here is durable. What an instance said holds while the instance sends heartbeats, and is said again
when it may have been forgotten; keys of an instance that is gone expire by themselves.
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
    """The answer to a sign of life.

    `alive`: every instance whose lease runs, this one included. `remembered`: what this instance has said
    may be relied on; otherwise (its lease had ended, the connection is a new one) it must be said again.
    """

    alive: frozenset[str]
    remembered: bool


class PresenceChange(NamedTuple):
    """What an instance has to say about a room.

    `users`: those that came (with their name) or left (None) since it was last said. `here`: whether it has
    users there; None: it only asks. `gone`: instances known to be dead, whose users are to be taken out.
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
    """Make a name for one instance's life: 8 hexadecimal digits."""
    return secrets.token_hex(4)


OnNotification = Callable[[str, Notification], None]


class Coordinator(Protocol):
    """The other instances, through the store that they share.

    Every coroutine raises BrokerUnavailableError; nothing is repeated, and everything may be said again.
    """

    instance_id: str
    ttl_s: float  # what is not said again for so long is forgotten
    on_notification: (
        OnNotification | None
    )  # called with the channel of each notification heard, own ones included

    async def heartbeat(self, lease_s: float) -> HeartbeatReply:
        """Say that this instance lives for another `lease_s`, and learn who else does."""
        ...

    async def update_presence(self, channel: str, change: PresenceChange, *, limit: int) -> RoomUsers:
        """Say who came and who left, and learn who is there (up to `limit` by name), as one step.

        Who is new in the whole deployment, or gone from it, is told to all instances by a `Notification`.
        """
        ...

    async def list_rooms(self, alive: Collection[str]) -> dict[str, int]:
        """Every room channel in which these instances have users, with the number of users."""
        ...

    def notify(self, channel: str, notification: Notification) -> None:
        """Send a notification to all instances that follow the channel. It may get lost."""
        ...

    async def update_connections(self, user_id: str, here: int, gone: Collection[str]) -> int:
        """Say how many connections a user has here; learn how many elsewhere."""
        ...

    async def take_tokens(self, user_id: str, count: int, interval_s: float) -> float:
        """Take `count` tokens from a user's common bucket, which gains one each `interval_s`.

        Returns how many seconds it takes until that bucket is full again.
        """
        ...
