"""What the SQLite log removes: publications over the limits, expired keys, channels over their number.

Every function works inside the caller's transaction, in steps of bounded size, so that a publish never waits
for a large deletion. Removal lags behind the limits by some rows; readers show only what is within them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rtcli.protocol.position import Position
from rtcli_server.broker.base import Retention
from rtcli_server.broker.idempotency import IdempotencyKeys

ROW_BYTES = 100  # what a row takes in the file besides its data
STEP_ROWS = 1_000  # how many rows one transaction removes at most
MAX_CHANNELS = 1_000_000  # over that, the least recently used empty ones are removed


@dataclass(slots=True)
class ChannelRow:
    """A row of `channels`: `first` is the oldest offset in the file (top + 1: none)."""

    id: int
    epoch: str
    top: int
    first: int
    bytes: int
    used_ms: int


class Removed(NamedTuple):
    """The bytes that a step freed, and whether there is more to remove."""

    bytes: int
    more: bool


def trim_channel(connection: sqlite3.Connection, row: ChannelRow, retention: Retention) -> int:
    """Remove what is over one channel's limits, update `row`, and return the bytes freed."""
    until = row.first
    too_many = row.top - row.first + 1 - retention.max_count
    if too_many > max(16, retention.max_count // 8):
        until += too_many
    if row.bytes > retention.max_channel_bytes:
        until = max(until, _first_within(connection, row, retention.max_channel_bytes * 7 // 8))
    if until == row.first:
        return 0
    removed = connection.execute(
        "DELETE FROM publications WHERE channel_id = ? AND offset < ? RETURNING length(data)", (row.id, until)
    )
    size: int = sum(length + ROW_BYTES for (length,) in removed.fetchall())
    row.first = until
    row.bytes -= size
    return size


def _first_within(connection: sqlite3.Connection, row: ChannelRow, budget: int) -> int:
    spare = row.bytes - budget
    until = row.first
    sizes = connection.execute(
        "SELECT offset, length(data) FROM publications WHERE channel_id = ? ORDER BY offset", (row.id,)
    )
    for offset, size in sizes:
        if spare <= 0:
            break
        spare -= size + ROW_BYTES
        until = offset + 1
    sizes.close()
    return until


def trim_oldest(connection: sqlite3.Connection, *, spare: int, before_ms: int) -> Removed:
    """Remove the oldest rows of the whole log: `spare` bytes of them, and those from before `before_ms`.

    This updates `first` and `bytes` of their channels: the caller's copies of those are stale afterwards.
    """
    rows = connection.execute(
        "SELECT id, channel_id, offset, length(data), time_ms FROM publications ORDER BY id LIMIT ?",
        (STEP_ROWS,),
    ).fetchall()
    last = size = 0
    removed: dict[int, tuple[int, int]] = {}
    for number, channel_id, offset, length, time_ms in rows:
        if size >= spare and time_ms >= before_ms:
            break
        last = number
        size += length + ROW_BYTES
        removed[channel_id] = (offset + 1, removed.get(channel_id, (0, 0))[1] + length + ROW_BYTES)
    connection.execute("DELETE FROM publications WHERE id <= ?", (last,))
    connection.executemany(
        "UPDATE channels SET first = max(first, ?), bytes = bytes - ? WHERE id = ?",
        [(first, given, channel_id) for channel_id, (first, given) in removed.items()],
    )
    return Removed(size, more=len(rows) == STEP_ROWS and last == rows[-1][0])


def forget_channels(connection: sqlite3.Connection, channel_count: int) -> bool:
    """Remove some of the empty channels if there are too many; return whether there were.

    The least recently used ones go first.
    """
    if channel_count <= MAX_CHANNELS:
        return False
    connection.execute(
        "DELETE FROM channels WHERE id IN"
        " (SELECT id FROM channels WHERE first > top ORDER BY used_ms LIMIT ?)",
        (MAX_CHANNELS // 10,),
    )
    return True


class IdempotencyTable:
    """The idempotency keys in the file, oldest first; ids between `_first` and `_last` are in use.

    The wall clock gives the age of those that are read here, which an earlier process wrote.
    """

    def __init__(self, connection: sqlite3.Connection, retention: Retention, now_ms: int) -> None:
        self._retention = retention
        self._first = 1
        self._last = 0
        self.memory = IdempotencyKeys(retention.idempotency_ms, retention.max_keys)
        for number, channel, key, epoch, offset, time_ms in connection.execute(
            "SELECT id, channel, key, epoch, offset, time_ms FROM keys ORDER BY id"
        ):
            self.memory.remember(channel, key, Position(epoch, offset), age_ms=max(0, now_ms - time_ms))
            self._first = self._first if self._last else number
            self._last = number

    def insert(self, connection: sqlite3.Connection, rows: Sequence[tuple[str, str, str, int, int]]) -> None:
        """Write rows of (channel, key, epoch, offset, time_ms), and remove those over the limit."""
        connection.executemany(
            "INSERT INTO keys (channel, key, epoch, offset, time_ms) VALUES (?, ?, ?, ?, ?)", rows
        )
        self._last += len(rows)
        too_many = self._last - self._first + 1 - self._retention.max_keys
        if too_many > STEP_ROWS:
            self._remove(connection, self._first + too_many)

    def expire(self, connection: sqlite3.Connection, before_ms: int) -> bool:
        """Remove some keys from before `before_ms`; return whether there may be more."""
        step = connection.execute("SELECT id, time_ms FROM keys ORDER BY id LIMIT ?", (STEP_ROWS,)).fetchall()
        old = [number for number, time_ms in step if time_ms < before_ms]
        if old:
            self._remove(connection, old[-1] + 1)
        return len(old) == STEP_ROWS

    def _remove(self, connection: sqlite3.Connection, until: int) -> None:
        connection.execute("DELETE FROM keys WHERE id < ?", (until,))
        self._first = until
