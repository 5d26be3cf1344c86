"""Messages as JSON text: `encode` writes any of them, `decode_server` reads those of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec

from rtcli.protocol.codes import ErrorCode
from rtcli.protocol.messages.decoding import MessageError
from rtcli.protocol.messages.server import Connected, ServerMessage, ServerPong, TaggedMessage, Unknown

MAX_MESSAGE_BYTES = 65_536  # of UTF-8; transports refuse longer ones with close code 1009


class _PongData(msgspec.Struct):
    """Both kinds of `pong`: with what the first message says, and without."""

    connection_id: str | None = None


class _AnyPong(msgspec.Struct, tag_field="type", tag="pong"):
    data: _PongData = msgspec.field(default_factory=_PongData)


class _AnyMessage(msgspec.Struct):
    type: str
    data: object = None


_SERVER_TYPES = {"pong", *(kind.__struct_config__.tag for kind in get_args(TaggedMessage))}
_decode_tagged: Callable[[str | bytes], TaggedMessage | _AnyPong] = msgspec.json.Decoder(
    TaggedMessage | _AnyPong
).decode
_decode_connected: Callable[[str | bytes], Connected] = msgspec.json.Decoder(Connected).decode
_decode_pong: Callable[[str | bytes], ServerPong] = msgspec.json.Decoder(ServerPong).decode
_decode_any = msgspec.json.Decoder(_AnyMessage).decode


def decode_server(text: str | bytes) -> ServerMessage:
    """Decode one message of a server. Raises MessageError only.

    Unknown keys are ignored; a message of an unknown type becomes `Unknown`.
    """
    try:
        message = _decode_tagged(text)
        if not isinstance(message, _AnyPong):
            return message
        return _decode_pong(text) if message.data.connection_id is None else _decode_connected(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _decode_unknown(text)


def describe_unreadable(text: str | bytes) -> str:
    """Why `decode_server` does not take a message, for people: its type, and what it lacks."""
    try:
        kind = f"`{_decode_any(text).type}`"
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "it is not a message of the protocol: a JSON object with a `type`"
    try:
        message = _decode_tagged(text)
        if isinstance(message, _AnyPong) and message.data.connection_id is not None:
            kind += ", the greeting"
            _decode_connected(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return f"{kind}: {error}"
    return kind


def _decode_unknown(text: str | bytes) -> Unknown:
    try:
        message = _decode_any(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise MessageError(ErrorCode.INVALID_MESSAGE) from None
    if message.type in _SERVER_TYPES:
        raise MessageError(ErrorCode.INVALID_MESSAGE)
    return Unknown(message.type, message.data)


_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """Encode a message, or a message's data alone, as JSON text in UTF-8.

    Optional fields that are None are omitted. Raises UnicodeEncodeError for surrogates in strings; what was
    decoded here has none.
    """
    return _encoder.encode(message)
