"""Close codes and error codes, and which close codes mean "reconnect" (protocol.md, section 3)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Why a WebSocket was closed: RFC 6455 section 7.4.1, the IANA registry, and our own 4000-4999."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_PAYLOAD = 1007
    REFUSED = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    HEARTBEAT_TIMEOUT = 4000
    SLOW_CONSUMER = 4001
    TOKEN_EXPIRED = 4002
    RATE_LIMITED = 4003
    KICKED = 4500
    PROTOCOL_VIOLATION = 4502


class ErrorCode(StrEnum):
    """The `code` of an `error` message and of a problem+json body."""

    INVALID_MESSAGE = "invalid_message"
    ROOM_REQUIRED = "room_required"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_ROOM = "invalid_room"
    NOT_IN_ROOM = "not_in_room"
    FORBIDDEN = "forbidden"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_ROOMS = "too_many_rooms"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error word, not a secret
    UNSUPPORTED_DATA = "unsupported_data"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class GapReason(StrEnum):
    """Why a resume is not complete (protocol.md, sections 3, 4 and 8)."""

    EPOCH_CHANGED = "epoch_changed"
    TRIMMED = "trimmed"
    TOO_MANY = "too_many"
    FUTURE = "future"
    INVALID = "invalid"
    INVALID_CURSOR = "invalid_cursor"  # the whole cursor of an event stream cannot be read


# The first three texts are a contract with existing clients.
ERROR_TEXT: dict[ErrorCode, str] = {
    ErrorCode.INVALID_MESSAGE: "Invalid message format",
    ErrorCode.ROOM_REQUIRED: "Room is required",
    ErrorCode.UNKNOWN_TYPE: "Unknown message type: {}",
    ErrorCode.INVALID_ROOM: "Not a valid room name",
    ErrorCode.NOT_IN_ROOM: "Join the room first",
    ErrorCode.FORBIDDEN: "Not allowed",
    ErrorCode.TOO_LONG: "Content must be 1 to 16384 characters",
    ErrorCode.RATE_LIMITED: "Too many messages",
    ErrorCode.TOO_MANY_ROOMS: "Too many rooms on one connection",
    ErrorCode.INVALID_TOKEN: "Invalid or expired token",
    ErrorCode.UNSUPPORTED_DATA: "Only text frames are accepted",
    ErrorCode.UNAVAILABLE: "The log cannot take this now; nothing was published, try again",
    ErrorCode.INTERNAL: "Internal error",
}

# The texts of `unavailable` for what may have been published after all, with and without an id.
NOT_CONFIRMED = "Not confirmed: repeat it with the same id"
NOT_CONFIRMED_NO_ID = "Not confirmed: it may have been published, and a repeat without an id comes twice"

UNAVAILABLE_RETRY_MS = 1_000  # how long a client should wait after `unavailable`


def unavailable_text(*, maybe_published: bool, has_id: bool) -> str:
    """Say of a publication with or without an id that the log did not take it, or that nobody knows."""
    if not maybe_published:
        return ERROR_TEXT[ErrorCode.UNAVAILABLE]
    return NOT_CONFIRMED if has_id else NOT_CONFIRMED_NO_ID


_NO_RECONNECT = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.PROTOCOL_ERROR,
        CloseCode.UNSUPPORTED_DATA,
        CloseCode.INVALID_PAYLOAD,
        CloseCode.REFUSED,
        CloseCode.TOO_BIG,
    }
)


def should_reconnect(code: int) -> bool:
    """Whether a client should reconnect by itself after this close code.

    4000-4499 mean yes and 4500-4999 mean no; a connection lost without a close frame (1005, 1006) means yes.
    """
    if 4000 <= code <= 4999:
        return code < 4500
    return code not in _NO_RECONNECT
