"""The events of a RealtimeClient, in the order in which they happened. Texts in them come from the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rtcli.protocol.position import EVENT_KEYS, Position


@dataclass(frozen=True)
class Connected:
    """The first connection is open; rooms are joined next."""

    connection_id: str
    user_id: int | str | None


@dataclass(frozen=True)
class Lost:
    """The connection is lost; the next attempt is in `retry_in_s` seconds."""

    reason: str
    retry_in_s: float
    attempt: int


@dataclass(frozen=True)
class Reconnected:
    """After a loss, every room is joined again. `caught_up` publications of the meantime follow."""

    away_s: float
    caught_up: int


@dataclass(frozen=True)
class Joined:
    """The room is joined. `again` is True after a reconnection."""

    room: str
    members: list[tuple[int | str, str]]  # (user id, name), at most 200
    member_count: int
    position: Position | None
    rejoined: bool
    replayed: int


@dataclass(frozen=True)
class JoinRefused:
    """The server refused to let us join this room."""

    room: str
    code: str
    message: str


@dataclass(frozen=True)
class Left:
    """We have left the room."""

    room: str
    forced: bool = False  # by the server: the token does not allow it any more


@dataclass(frozen=True)
class Gap:
    """Publications that cannot be delivered: the log has dropped them, or the server has a new log."""

    room: str  # or, for personal and broadcast events, `~me` or `~all`
    lost: int | None  # their number, if it is known
    reason: str
    after: Position | None = field(default=None, compare=False)  # where it begins, if it is known
    upto: Position | None = field(default=None, compare=False)  # its last publication

    @property
    def is_room(self) -> bool:
        """Whether it is a room's, and not one of personal or broadcast events."""
        return self.room not in EVENT_KEYS


@dataclass(frozen=True)
class Message:
    """A publication in a room. Each one is delivered once and in order."""

    room: str
    content: str
    sender_id: int | str
    sender_name: str
    timestamp: str
    id: str | None  # the sender's id for it
    position: Position
    history: bool  # it was published before the room was joined
    own: bool  # this client sent it
    gap: Gap | None = None  # what is missing before it: set by what gives messages alone


@dataclass(frozen=True)
class Event:
    """A personal or broadcast event. Each one is delivered once and in order."""

    event: str
    data: Any  # its publisher's JSON
    channel: str  # `user:<id>` or `all`
    position: Position
    gap: Gap | None = None  # what is missing before it: set by what gives events alone


@dataclass(frozen=True)
class Direct:
    """An event for this connection alone. It has no position, and nobody says when one is lost."""

    event: str
    data: Any  # its sender's JSON


@dataclass(frozen=True)
class Acked:
    """Our publication with this id is in the log."""

    id: str
    room: str
    position: Position
    duplicate: bool  # it was there already: this id had been published before


@dataclass(frozen=True)
class Rejected:
    """The server refused our publication with this id for good."""

    id: str
    room: str
    content: str
    code: str
    message: str


@dataclass(frozen=True)
class Presence:
    """A user joined the room or left it."""

    room: str
    user_id: int | str
    name: str
    here: bool


@dataclass(frozen=True)
class TypingChanged:
    """A member began or stopped typing."""

    room: str
    user_id: int | str
    name: str
    is_typing: bool


@dataclass(frozen=True)
class RoundTrip:
    """The measured round trip to the server."""

    seconds: float


@dataclass(frozen=True)
class ConnectionWarning:
    """An error that the server reported, or a message that was ignored. The connection stays open."""

    code: str
    message: str


ClientEvent = (
    Connected
    | Lost
    | Reconnected
    | Joined
    | JoinRefused
    | Left
    | Message
    | Event
    | Direct
    | Gap
    | Acked
    | Rejected
    | Presence
    | TypingChanged
    | RoundTrip
    | ConnectionWarning
)
