"""Positions in a channel's log, and cursors over several channels (protocol.md, sections 1, 6 and 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from rtcli.protocol.codes import GapReason
from rtcli.protocol.rooms import is_valid_room

MAX_CURSOR_BYTES = 8192
MAX_OFFSET = 2**63 - 1  # what SQLite and a Redis stream can hold
POSITION = re.compile(r"([a-z0-9]{4,16})-(0|[1-9][0-9]{0,18})", re.ASCII)
_LONGEST_POSITION = 16 + 1 + 19

ROOM_PREFIX = "room:"
USER_PREFIX = "user:"
BROADCAST = "all"
_ME = "~me"
_ALL = "~all"
EVENT_KEYS = frozenset({_ME, _ALL})  # the names in a cursor of the channels that are no rooms


class InvalidPositionError(ValueError):
    """A position or cursor is malformed."""


class Position(NamedTuple):
    """A place in one channel's log: the publication `offset` (from 1) of `epoch`; 0 is before the first."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        """The wire form, `k3f9-42`."""
        return f"{self.epoch}-{self.offset}"


def parse_position(text: str) -> Position:
    """Parse `k3f9-42`. Raises InvalidPositionError for anything else, also for offsets over 2**63 - 1."""
    match = POSITION.fullmatch(text)
    if match is None:
        raise InvalidPositionError("not a position")
    offset = int(match[2])
    if offset > MAX_OFFSET:
        raise InvalidPositionError("offset out of range")
    return Position(match[1], offset)


@lru_cache(maxsize=4096)
def cursor_key(channel: str) -> str:
    """The name of a channel in a cursor: the percent-encoded room, `~me` or `~all`."""
    if channel.startswith(ROOM_PREFIX):
        return quote(channel[len(ROOM_PREFIX) :], safe="")
    return event_key(channel)


def event_key(channel: str) -> str:
    """The name in a cursor of a channel of personal or broadcast events."""
    return _ALL if channel == BROADCAST else _ME


def _channel_of(key: str, user_channel: str) -> str:
    if key == _ME:
        return user_channel
    if key == _ALL:
        return BROADCAST
    room = unquote(key, errors="strict")
    if not is_valid_room(room) or quote(room, safe="") != key:
        raise InvalidPositionError("not a channel")
    return ROOM_PREFIX + room


def format_cursor(positions: Mapping[str, Position] | Iterable[tuple[str, Position]]) -> str:
    """Join positions, by channel name and in the order given, into one cursor."""
    items = positions.items() if isinstance(positions, Mapping) else positions
    return ",".join(f"{cursor_key(channel)}={position}" for channel, position in items)


def fitting(positions: Iterable[tuple[str, Position]]) -> list[tuple[str, Position]]:
    """Those of `positions` that one cursor holds, the first ones before the others."""
    fits, size = [], -1
    for channel, position in positions:
        size += 1 + len(cursor_key(channel)) + 1 + len(str(position))
        if size > MAX_CURSOR_BYTES:
            break
        fits.append((channel, position))
    return fits


def longest_cursor(channels: Iterable[str]) -> int | None:
    """The largest size of a cursor over these channels in bytes, or None when that is over the limit.

    A stream over the limit could not be resumed.
    """
    size = sum(len(cursor_key(channel)) + _LONGEST_POSITION + 2 for channel in channels)
    return size if size <= MAX_CURSOR_BYTES else None


def parse_cursor(text: str, *, user_channel: str) -> dict[str, Position]:
    """Parse a cursor into positions by channel name; `user_channel` is what `~me` stands for.

    Raises InvalidPositionError when it is longer than 8 KiB, empty, names a channel twice, or any part of it
    is malformed.
    """
    if not text or len(text) > MAX_CURSOR_BYTES or not text.isascii():
        raise InvalidPositionError("not a cursor")
    positions: dict[str, Position] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        try:
            channel = _channel_of(key, user_channel)
        except UnicodeDecodeError:
            raise InvalidPositionError("not a channel") from None
        if not equals or channel in positions:
            raise InvalidPositionError("not a cursor")
        positions[channel] = parse_position(value)
    return positions


def lost_between(since: Position | None, top: Position | None) -> int | None:
    """Return how many publications a client misses that goes on at `top`; None where that is not known."""
    if since is None or top is None or top.epoch != since.epoch or top.offset < since.offset:
        return None
    return top.offset - since.offset


def skipped(last: Position | None, position: Position) -> int:
    """Return how many publications are missing between `last` and `position`, which came after it.

    Negative: it is a repeat. 0 where nothing is known: there was none before, or it was in another epoch.
    """
    if last is None or last.epoch != position.epoch:
        return 0
    return position.offset - last.offset - 1


def recovery_failure(
    since: Position, top: Position, offsets: list[int], *, max_replay: int
) -> GapReason | None:
    """Return why a resume from `since` is not complete, or None when it is (protocol.md, section 8).

    `offsets` are those of the publications read after `since`, ascending; a page that was cut at its limit
    counts as `too_many`. Complete means: same epoch, and nothing missing between `since` and `top`.
    """
    if since.epoch != top.epoch:
        return GapReason.EPOCH_CHANGED
    if since.offset > top.offset:
        return GapReason.FUTURE
    missed = top.offset - since.offset
    if missed > max_replay:
        return GapReason.TOO_MANY
    expected = range(since.offset + 1, top.offset + 1)
    if len(offsets) != missed or any(map(int.__ne__, offsets, expected)):
        return GapReason.TRIMMED
    return None
