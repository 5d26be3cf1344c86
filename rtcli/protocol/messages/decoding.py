r"""The strict decoder for everything that clients send (protocol.md, section 3, "Envelope").

The fast way decodes with msgspec straight into the message's struct and then proves, by counting quotation
marks, that the text contains only the fields of that struct: then there is no unknown key, no duplicate name
and no deeper level to check; and a text without `\u` has no escaped surrogate and no NUL. Everything else
takes the thorough way (strict_json.py), which also finds the error to report for a bad message.
"""

from __future__ import annotations

import msgspec

from rtcli.protocol.codes import ERROR_TEXT, ErrorCode
from rtcli.protocol.messages.client import (
    MAX_ID,
    AskCursor,
    ChatMessage,
    ClientMessage,
    JoinRoom,
    LeaveRoom,
    Ping,
    Pong,
    Refresh,
    Typing,
)
from rtcli.protocol.messages.strict_json import NotAcceptedError, parse

_MAX_SHOWN = 64  # characters of an unknown type that the error text repeats


class MessageError(Exception):
    """A message is rejected.

    `code` is for programs, `message` for people, `id` is to be echoed (None when none could be read).
    """

    def __init__(self, code: ErrorCode, *, id: str | None = None, shown: str = "") -> None:  # noqa: A002 - the interface's name
        self.code = code
        self.message = ERROR_TEXT[code].format(shown)
        self.id = id
        super().__init__(self.message)


_TYPES: dict[str, type[ClientMessage]] = {
    "ping": Ping,
    "pong": Pong,
    "join_room": JoinRoom,
    "leave_room": LeaveRoom,
    "chat_message": ChatMessage,
    "typing": Typing,
    "refresh": Refresh,
    "cursor": AskCursor,
}
# Quotation marks in a text that has exactly the fields of its struct: two for each name and each string,
# without those of `id`. (A join has optional fields and is not frequent: it takes the thorough way.)
_QUOTES: dict[type[ClientMessage], int] = {
    Ping: 4,
    Pong: 4,
    LeaveRoom: 10,
    ChatMessage: 14,
    Typing: 12,
}
_ID_QUOTES = 4
_decode_fast = msgspec.json.Decoder(ClientMessage).decode


def decode_client(text: str | bytes | bytearray | memoryview) -> ClientMessage:
    """Decode one message of a client. Raises MessageError only, also for bytes that are not UTF-8.

    Of a room's name this only checks that it is a string and not empty; `rooms.is_valid_room` checks the
    rest.
    """
    if not isinstance(text, str):
        try:
            text = str(text, "utf-8")
        except UnicodeDecodeError:
            raise MessageError(ErrorCode.INVALID_MESSAGE) from None
    try:
        message = _decode_fast(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _decode_thoroughly(text)
    quotes = text.count('"') - _QUOTES.get(type(message), 0)
    if message.id is not None:
        quotes -= _ID_QUOTES
    if "\\" in text:
        if "\\u" in text:
            return _decode_thoroughly(text)
        # Without \u, each quotation mark inside a string was written as \".
        if type(message) is ChatMessage:
            quotes -= message.data.content.count('"')
    return _decode_thoroughly(text) if quotes else message


def _decode_thoroughly(text: str) -> ClientMessage:
    try:
        value = parse(text)
    except NotAcceptedError:
        raise MessageError(ErrorCode.INVALID_MESSAGE) from None
    if not isinstance(value, dict):
        raise MessageError(ErrorCode.INVALID_MESSAGE)
    name, data = value.get("type"), value.get("data")
    if name == "join_room" and isinstance(data, dict) and not isinstance(data.get("since"), str | None):
        # A `since` that is no position is answered with `recovered: false`, and so is one that is no string.
        value["data"] = {**data, "since": ""}
    try:
        message: ClientMessage = msgspec.convert(value, ClientMessage)
    except msgspec.ValidationError:
        raise _explain(value) from None
    return message


def _explain(value: dict[str, object]) -> MessageError:
    """Find out what is wrong with a message that is valid JSON but not a valid message."""
    given, name, data = value.get("id"), value.get("type"), value.get("data", {})
    id_ = given if isinstance(given, str) and len(given) <= MAX_ID else None
    if not isinstance(name, str):
        return MessageError(ErrorCode.INVALID_MESSAGE, id=id_)
    kind = _TYPES.get(name)
    if kind is None:
        return MessageError(ErrorCode.UNKNOWN_TYPE, id=id_, shown=_printable(name))
    if given != id_ or not isinstance(data, dict):
        return MessageError(ErrorCode.INVALID_MESSAGE, id=id_)
    return MessageError(_explain_data(kind, data), id=id_)


def _explain_data(kind: type[ClientMessage], data: dict[str, object]) -> ErrorCode:
    if kind in (JoinRoom, LeaveRoom, ChatMessage, Typing):
        room = data.get("room")
        if room is None or room == "":
            return ErrorCode.ROOM_REQUIRED
        if not isinstance(room, str):
            return ErrorCode.INVALID_ROOM
    if kind is ChatMessage and isinstance(data.get("content"), str):
        return ErrorCode.TOO_LONG
    return ErrorCode.INVALID_MESSAGE


def _printable(text: str) -> str:
    """Shorten and escape what a client sent, so that the error text is safe to show anywhere."""
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
