"""Events for one connection of another instance: each instance has a channel in the log for those of its own.

Not the control channel: commands must still be there for an instance that was cut off, and these are many.
"""

from __future__ import annotations

import msgspec

from rtcli_server.broker import ForeignDataError

MAX_AGE_MS = 30_000  # how late one may come to its instance; clocks may differ


class Direct(msgspec.Struct, frozen=True):
    """What is sent to a connection: a JSON object. The publication has the event's name.

    It is ephemeral: an instance that gets it after `until_ms` (Unix time) drops it.
    """

    connection_id: str
    until_ms: int
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Direct).decode


def channel_of(instance_id: str) -> str:
    """The channel of an instance; clients never get what is in it."""
    return f"direct:{instance_id}"


def instance_of(connection_id: str) -> str:
    """The instance that gave a connection its id."""
    return connection_id.partition("-")[0]


def encode_direct(direct: Direct) -> bytes:
    """Encode it as the data of a publication."""
    return _encode(direct)


def decode_direct(data: bytes) -> Direct:
    """Decode the data of a publication, which the log has checked: they are JSON as clients may get it.

    Raises ForeignDataError.
    """
    try:
        direct = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignDataError(str(error)) from error
    if bytes(direct.data)[:1] != b"{":
        raise ForeignDataError("not an object")
    return direct
