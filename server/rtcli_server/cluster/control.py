"""Commands that instances send to each other through the log, on the channel `control`. Pure.

Through the log, because every instance gets everything there once and in order, also after it was cut off. No
command holds a token: whoever can read the log could use it.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from rtcli.protocol.tokens import is_valid_user_id
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker import CONTROL, ForeignDataError, check_member, check_revocation

CHANNEL = EVENT = CONTROL  # of the log; clients never get it


class Kick(msgspec.Struct, frozen=True, tag="kick"):
    """Close everything that a user has open."""

    user_id: str


class Refresh(msgspec.Struct, frozen=True, tag="refresh"):
    """Let an event stream of this principal go on with the rights of a new token."""

    connection_id: str
    principal: Principal


class Revoke(msgspec.Struct, frozen=True, tag="revoke"):
    """Accept no token any more that this is about, and close what was opened with one."""

    revocation: Revocation


Command: TypeAlias = Kick | Refresh | Revoke

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Command).decode


def encode_command(command: Command) -> bytes:
    """Encode a command as the data of a publication."""
    return _encode(command)


def decode_command(data: bytes) -> Command:
    """Decode the data of a publication.

    Raises ForeignDataError for a command that this version does not know, and one about nobody.
    """
    try:
        command: Command = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ForeignDataError(str(error)) from error
    if isinstance(command, Kick):
        if not is_valid_user_id(command.user_id):
            raise ForeignDataError("not a user")
    elif isinstance(command, Revoke):
        check_revocation(command.revocation)
    else:
        check_member(command.principal.user_id, command.principal.name)
        if not math.isfinite(command.principal.expires_at):
            raise ForeignDataError("not a time")
    return command
