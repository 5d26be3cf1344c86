"""Which rooms and texts a server accepts, so that a wrong one is reported before it is sent. Pure."""

from __future__ import annotations

from rtcli.errors import CliError
from rtcli.protocol.messages import MAX_MESSAGE_BYTES, encode
from rtcli.protocol.messages.client import MAX_CONTENT, MAX_ID, ChatData, ChatMessage
from rtcli.protocol.rooms import ROOM_RULE, room_of


def check_room(name: str) -> str:
    """Return the name of a room in NFC. Raises CliError (2) for a name that no room can have."""
    room = room_of(name)
    if room is None:
        raise CliError(f"{name!r} cannot be a room", hint=ROOM_RULE)
    return room


def problem_with(room: str, content: str) -> str | None:
    """The reason why this text cannot be published, or None."""
    if not content:
        return "it is empty"
    if len(content) > MAX_CONTENT:
        return f"it has {len(content)} characters, the server takes {MAX_CONTENT}"
    if "\0" in content:
        return "it has a NUL in it"
    try:
        size = len(encode(ChatMessage(ChatData(room, content), id="x" * MAX_ID)))
    except UnicodeEncodeError:
        return "it has a character in it that stands for nothing"
    if size > MAX_MESSAGE_BYTES:
        return f"it is {size} bytes as a message, the server takes {MAX_MESSAGE_BYTES}"
    return None
