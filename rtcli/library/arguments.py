"""What a program gives to the methods of a client, checked before anything is sent."""

from __future__ import annotations

from rtcli.client.validation import check_room, problem_with
from rtcli.library.errors import UsageError, raised_for_programs
from rtcli.protocol.messages.client import MAX_HISTORY, MAX_ID
from rtcli.protocol.position import InvalidPositionError, Position, parse_position


def room_name(name: str) -> str:
    """Return a room's name in NFC. Raises UsageError."""
    with raised_for_programs():
        return check_room(name)


def checked_text(room: str, content: str) -> str:
    """Return a text that this room takes. Raises UsageError."""
    problem = problem_with(room, content)
    if problem is not None:
        raise UsageError(problem.replace("it ", "the text ", 1), code="usage")
    return content


def checked_id(identifier: str | None) -> str | None:
    """Return an id that a text may have. Raises UsageError."""
    if identifier is None or (1 <= len(identifier) <= MAX_ID and identifier.isprintable()):
        return identifier
    raise UsageError(f"an id has 1 to {MAX_ID} printable characters", code="usage")


def checked_history(count: int, *, at_least: int) -> int:
    """Return a number of older messages that can be asked for. Raises UsageError."""
    if at_least <= count <= MAX_HISTORY:
        return count
    raise UsageError(f"from {at_least} to {MAX_HISTORY} older messages can be had", code="usage")


def checked_position(since: Position | str | None) -> Position | None:
    """Return a position, also one that is written as `k3f9-42`. Raises UsageError."""
    if not isinstance(since, str):
        return since
    try:
        return parse_position(since)
    except InvalidPositionError as error:
        raise UsageError(f"{since!r} is not a position", hint="k3f9-42", code="usage") from error


def checked_buffer(size: int) -> int:
    """Return the number of values that a reader may leave waiting. Raises UsageError."""
    if size < 1:
        raise UsageError("buffer= is at least 1", code="usage")
    return size
