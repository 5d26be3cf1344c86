"""What a client may send: one struct per row of protocol.md, section 3, "Client → server".

A struct is the shape on the wire: `{"type": …, "data": {…}, "id": …}`. Every reply repeats the `id`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

MAX_CONTENT = 16_384  # characters
MAX_ID = 64  # characters
MAX_HISTORY = 500  # publications that a join may ask for

Id: TypeAlias = Annotated[str, Meta(max_length=MAX_ID)] | None
Room: TypeAlias = Annotated[str, Meta(min_length=1)]
Content: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_CONTENT)]
History: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_HISTORY)]


class NoData(Struct, frozen=True):
    """Data of messages that have none; its content is ignored."""


class RoomData(Struct, frozen=True):
    """Data that names a room and nothing else."""

    room: Room


class JoinData(Struct, frozen=True, omit_defaults=True):
    """`since` is a position as text, not checked yet; `history` counts the publications wanted without it."""

    room: Room
    since: str | None = None
    history: History = 0


class ChatData(Struct, frozen=True):
    """`content` is 1-16384 characters."""

    room: Room
    content: Content


class TypingData(Struct, frozen=True):
    """Whether the user is typing in the room."""

    room: Room
    is_typing: bool


class RefreshData(Struct, frozen=True):
    """A new token; never printed."""

    token: str

    def __repr__(self) -> str:
        return "RefreshData(token=…)"


class Ping(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="ping"):
    """Ask for a `pong`."""

    data: NoData = NoData()
    id: Id = None


class Pong(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="pong"):
    """Answer the server's heartbeat."""

    data: NoData = NoData()
    id: Id = None


class JoinRoom(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="join_room"):
    """Join a room."""

    data: JoinData
    id: Id = None


class LeaveRoom(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="leave_room"):
    """Leave a room."""

    data: RoomData
    id: Id = None


class ChatMessage(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="chat_message"):
    """Publish to a room. `id` is the idempotency key."""

    data: ChatData
    id: Id = None


class Typing(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="typing"):
    """Tell the other members that the user is typing, or has stopped."""

    data: TypingData
    id: Id = None


class Refresh(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="refresh"):
    """Continue with a new token."""

    data: RefreshData
    id: Id = None


class AskCursor(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="cursor"):
    """Ask up to where this connection was written."""

    data: NoData = NoData()
    id: Id = None


ClientMessage: TypeAlias = Ping | Pong | JoinRoom | LeaveRoom | ChatMessage | Typing | Refresh | AskCursor
