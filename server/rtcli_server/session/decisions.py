"""What a session decides. The connection, which has the socket and the log, carries it out.

`room` is the name in NFC; `spelling` is how the client has written it, and so does the reply.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.position import Position


class Reply(Struct, frozen=True):
    """Send this JSON text to this client. `code` is set when it is an `error`."""

    text: bytes
    code: ErrorCode | None = None


class SendPing(Struct, frozen=True):
    """Send an RFC 6455 ping frame."""


class Close(Struct, frozen=True):
    """Close with this code; the session ignores what arrives after it.

    With `retry_after_ms`, send `closing` first: the client should reconnect after that time.
    """

    code: CloseCode
    reason: str
    retry_after_ms: int | None = None


class Join(Struct, frozen=True):
    """Make this client a member, and report `joined`, or reply with an error.

    `since` is where it wants to go on; when that was no position, `since_invalid` is set, and it joins live
    with `recovered: false`. `history` is how many of the last publications it wants without a `since`.
    """

    room: str
    since: Position | None
    since_invalid: bool
    history: int
    id: str | None
    spelling: str


class Leave(Struct, frozen=True):
    """End a membership, which the session has removed already, and send `room_left`."""

    room: str
    id: str | None
    spelling: str


class Publish(Struct, frozen=True):
    """Append to the room's log. `id` is the idempotency key; with it, send `ack` when that is done."""

    room: str
    content: str
    id: str | None
    spelling: str


class SetTyping(Struct, frozen=True):
    """Tell the other members that this one is typing, or has stopped."""

    room: str
    is_typing: bool


class CheckToken(Struct, frozen=True):
    """Verify the token, and report `refreshed` or `refresh_failed`."""

    token: str
    id: str | None

    def __repr__(self) -> str:
        return f"CheckToken(token=…, id={self.id!r})"


class TellCursor(Struct, frozen=True):
    """Tell up to where this client was written."""

    id: str | None


Decision: TypeAlias = Reply | SendPing | Close | Join | Leave | Publish | SetTyping | CheckToken | TellCursor
