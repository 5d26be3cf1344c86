"""Commands that instances send to each other through the log, on the channel `control`. Pure.

Through the log, because every instance gets everything there once and in order, also after it was cut off. No
command holds a token: whoever can read the log could use it.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

from rtcli.protocol.publication import is_valid_event_name
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


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """Send an event with this JSON object to one connection.

    It is ephemeral: an instance that gets it after `until_ms` (Unix time) drops it.
    """

    connection_id: str
    event: str
    data: msgspec.Raw
    until_ms: int


Command: TypeAlias = Kick | Refresh | Revoke | Tell

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
    elif isinstance(command, Tell):
        # The log has checked that all of it is JSON as clients may get it.
        if not is_valid_event_name(command.event) or bytes(command.data)[:1] != b"{":
            raise ForeignDataError("not an event")
    else:
        check_member(command.principal.user_id, command.principal.name)
        if not math.isfinite(command.principal.expires_at):
            raise ForeignDataError("not a time")
    return command
