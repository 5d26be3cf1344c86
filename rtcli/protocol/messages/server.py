"""What the server sends: one struct per row of protocol.md, section 3, "Server → client".

A struct is the shape on the wire: `{"type": …, "data": {…}, "id": …, "timestamp": …}`. `id` is that of the
message replied to; `timestamp`, and every other time, is RFC 3339 text (`format_timestamp`).
Optional fields that are None are left out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct, field

from rtcli.protocol.messages.client import NoData, RoomData

PROTOCOL_VERSION = 1
MAX_MEMBERS = 200  # listed in one room_joined; member_count counts all of them

UserId: TypeAlias = int | str


class ChannelState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`position` is the top of the log. `recovered`, and when it is false `reason`, answer a resume."""

    position: str
    recovered: bool | None = None
    reason: str | None = None


class ResumedData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a client's channels begin, which `channels` has by their names in the cursor.

    `recovered` and `reason` answer a resume for all channels together.
    """

    cursor: str | None = None
    channels: dict[str, ChannelState] | None = None
    recovered: bool | None = None
    reason: str | None = None


class CursorData(Struct, frozen=True):
    """Up to where this connection was written."""

    cursor: str


class ReadyData(ResumedData, frozen=True, kw_only=True, omit_defaults=True):
    """The data of an event stream's first event."""

    connection_id: str


class ConnectedData(ResumedData, frozen=True, kw_only=True, omit_defaults=True):
    """Who the client is, on which instance, how often a heartbeat is due, and where its events begin."""

    connection_id: str
    user_id: UserId
    instance_id: str
    heartbeat_s: float
    token_expires_at: str | None = None
    message: str = field(default_factory=lambda: "Connected")  # by a factory, so that it is never left out
    protocol: int = field(default_factory=lambda: PROTOCOL_VERSION)


class MemberInfo(Struct, frozen=True):
    """A user in a room."""

    user_id: UserId
    name: str


class RoomJoinedData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`position` is the top of the log. `recovered`, and when it is false `reason`, answer a `since`."""

    room: str
    position: str
    replayed: int
    members: tuple[MemberInfo, ...]
    member_count: int
    recovered: bool | None = None
    reason: str | None = None


class PresenceData(Struct, frozen=True, kw_only=True):
    """Who joined or left."""

    user_id: UserId
    name: str
    room: str


class NewMessageData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A publication of a room. `id` is the sender's."""

    room: str
    content: str
    sender_id: UserId
    sender_name: str
    timestamp: str
    offset: int
    epoch: str
    id: str | None = None


class UserTypingData(Struct, frozen=True, kw_only=True):
    """Who is typing, or has stopped."""

    user_id: UserId
    name: str
    room: str
    is_typing: bool


class AckData(Struct, frozen=True, kw_only=True):
    """The position of the publication in the log."""

    room: str
    offset: int
    epoch: str
    duplicate: bool


class EventData(Struct, frozen=True, kw_only=True):
    """A personal or broadcast event; `data` is whatever JSON its publisher gave."""

    event: str
    data: Any
    channel: str
    offset: int
    epoch: str


class DirectData(Struct, frozen=True, kw_only=True):
    """An event for this connection alone; `data` is whatever JSON its sender gave. It has no position."""

    event: str
    data: Any


class GapData(Struct, frozen=True, kw_only=True):
    """The publications after `from` up to `to` are lost; `lost` is their number where it is known."""

    room: str
    from_: str = field(name="from")
    to: str
    lost: int | None
    reason: str


class SkippedData(Struct, frozen=True, kw_only=True):
    """Where a publication is that is not for this client; `room` as in a gap."""

    room: str
    offset: int
    epoch: str


class ExpiryData(Struct, frozen=True, kw_only=True):
    """When the token expires."""

    expires_at: str


class ClosingData(Struct, frozen=True, kw_only=True):
    """The close that follows, and after how many milliseconds this client should reconnect."""

    code: int
    reason: str
    retry_after_ms: int


class ErrorData(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`code` is an ErrorCode (or one that this client does not know yet), `message` is for people."""

    code: str
    message: str
    retry_after_ms: int | None = None


class _Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every message may have besides its data."""

    id: str | None = None
    timestamp: str | None = None


class Connected(_Envelope, frozen=True, kw_only=True, tag="pong"):
    """The first message on every connection; its type is `pong`, as old clients expect."""

    data: ConnectedData


def _no_data() -> NoData:
    return NoData()


class ServerPong(_Envelope, frozen=True, kw_only=True, tag="pong"):
    """The reply to `ping`."""

    # By a factory, so that the empty object is never left out.
    data: NoData = field(default_factory=_no_data)


class ServerPing(_Envelope, frozen=True, kw_only=True, tag="ping"):
    """The heartbeat of v2, which the client answers with `pong`."""

    data: NoData = NoData()


class RoomJoined(_Envelope, frozen=True, kw_only=True, tag="room_joined"):
    """The reply to `join_room`; the missed publications follow."""

    data: RoomJoinedData


class RoomLeft(_Envelope, frozen=True, kw_only=True, tag="room_left"):
    """The reply to `leave_room`."""

    data: RoomData


class UserJoined(_Envelope, frozen=True, kw_only=True, tag="user_joined"):
    """Another user joined."""

    data: PresenceData


class UserLeft(_Envelope, frozen=True, kw_only=True, tag="user_left"):
    """Another user left."""

    data: PresenceData


class NewMessage(_Envelope, frozen=True, kw_only=True, tag="new_message"):
    """A publication of a room."""

    data: NewMessageData


class UserTyping(_Envelope, frozen=True, kw_only=True, tag="user_typing"):
    """Another member is typing, or has stopped."""

    data: UserTypingData


class Ack(_Envelope, frozen=True, kw_only=True, tag="ack"):
    """The publication with this `id` is in the log."""

    data: AckData


class Event(_Envelope, frozen=True, kw_only=True, tag="event"):
    """A personal or broadcast event."""

    data: EventData


class Direct(_Envelope, frozen=True, kw_only=True, tag="direct"):
    """An event for this connection alone."""

    data: DirectData


class Gap(_Envelope, frozen=True, kw_only=True, tag="gap"):
    """Some publications are lost for this client."""

    data: GapData


class Skipped(_Envelope, frozen=True, kw_only=True, tag="skipped"):
    """A publication is not for this client: it has its position, and nothing is missing."""

    data: SkippedData


class Cursor(_Envelope, frozen=True, kw_only=True, tag="cursor"):
    """The reply to `cursor`."""

    data: CursorData


class TokenExpiring(_Envelope, frozen=True, kw_only=True, tag="token_expiring"):
    """The token expires soon: send `refresh`."""

    data: ExpiryData


class Refreshed(_Envelope, frozen=True, kw_only=True, tag="refreshed"):
    """The new token is accepted."""

    data: ExpiryData


class Closing(_Envelope, frozen=True, kw_only=True, tag="closing"):
    """The server will close the connection; the client should reconnect."""

    data: ClosingData


class Error(_Envelope, frozen=True, kw_only=True, tag="error"):
    """A message was rejected. The connection stays open."""

    data: ErrorData


class Unknown(Struct, frozen=True):
    """A message of a type that this version does not know, to be ignored."""

    type: str
    data: Any = None


# The messages that their `type` identifies; `pong` is two kinds of message.
TaggedMessage: TypeAlias = (
    ServerPing
    | RoomJoined
    | RoomLeft
    | UserJoined
    | UserLeft
    | NewMessage
    | UserTyping
    | Ack
    | Event
    | Direct
    | Gap
    | Skipped
    | Cursor
    | TokenExpiring
    | Refreshed
    | Closing
    | Error
)
ServerMessage: TypeAlias = Connected | ServerPong | TaggedMessage | Unknown
