"""Commands that instances send to each other through the log, on the channel `control`. Pure.

Through the log, because every instance gets everything there once and in order, also after it was cut off. No
command holds a token: whoever can read the log could use it.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rtcli_server.auth.claims import Principal

CHANNEL = "control"  # of the log; clients never get it
EVENT = "control"


class Kick(msgspec.Struct, frozen=True, tag="kick"):
    """Close everything that a user has open."""

    user_id: str


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """Let an event stream of this principal go on with the rights of a new token."""

    connection_id: str
    principal: Principal


Command: TypeAlias = Kick | Refresh

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Command).decode


class UnknownCommandError(Exception):
    """The data is not a command that this version knows."""


def encode_command(command: Command) -> bytes:
    """Encode a command as the data of a publication."""
    return _encode(command)


def decode_command(data: bytes) -> Command:
    """Decode the data of a publication. Raises UnknownCommandError."""
    try:
        command: Command = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownCommandError(str(error)) from error
    return command
