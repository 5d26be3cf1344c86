"""What a RealtimeClient tells its user, in the order in which it happened. Text is the server's own."""

from __future__ import annotations

from dataclasses import dataclass

from rtcli.protocol.position import Position


@dataclass(frozen=True)
class Connected:
    """The connection stands for the first time; rooms are joined next."""

    connection_id: str
    user_id: int | str | None


@dataclass(frozen=True)
class Lost:
    """The connection is lost; the next try comes in `retry_in_s`."""

    reason: str
    retry_in_s: float
    attempt: int


@dataclass(frozen=True)
class Back:
    """After a loss, every room is joined again; `caught_up` publications of the time away follow."""

    away_s: float
    caught_up: int


@dataclass(frozen=True)
class Joined:
    """The room is joined. `again` is True after a reconnection."""

    room: str
    members: list[tuple[int | str, str]]  # (user id, name), at most 200
    member_count: int
    position: Position | None
    again: bool
    replayed: int


@dataclass(frozen=True)
class JoinRefused:
    """The server does not let us into this room."""

    room: str
    code: str
    message: str


@dataclass(frozen=True)
class Left:
    """The room is left."""

    room: str


@dataclass(frozen=True)
class Message:
    """A publication in a room, each one once and in order."""

    room: str
    content: str
    sender_id: int | str
    sender_name: str
    timestamp: str
    id: str | None  # the sender's id for it
    position: Position
    history: bool  # it was published before the room was joined
    own: bool  # this client sent it


@dataclass(frozen=True)
class Missed:
    """Publications that will not come: the log no longer has them, or there is another log."""

    room: str
    lost: int | None  # how many, when that is known
    reason: str


@dataclass(frozen=True)
class Acked:
    """The publication with this id of ours is in the log."""

    id: str
    room: str
    position: Position | None
    duplicate: bool


@dataclass(frozen=True)
class Rejected:
    """The server refused the publication with this id of ours for good."""

    id: str
    room: str
    content: str
    code: str
    message: str


@dataclass(frozen=True)
class Presence:
    """A user came into the room or left it."""

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
    """The measured time to the server and back, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Trouble:
    """An error that the server reported, or something odd that it sent; the connection goes on."""

    code: str
    message: str


ClientEvent = (
    Connected
    | Lost
    | Back
    | Joined
    | JoinRefused
    | Left
    | Message
    | Missed
    | Acked
    | Rejected
    | Presence
    | TypingChanged
    | RoundTrip
    | Trouble
)
