"""What the SQLite log removes: publications over the limits.

Every function works inside the caller's transaction, in steps of bounded size, so that a publish never waits
for a large deletion. Removal lags behind the limits by some rows; readers show only what is within them.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from rtcli_server.broker.base import Retention
from rtcli_server.broker.sqlite.channels import ChannelTable
from rtcli_server.broker.sqlite.damage import DamagedFileError
from rtcli_server.broker.sqlite.rows import ChannelRow

ROW_BYTES = 100  # what a row takes in the file besides its data, and whom it excludes
STEP_ROWS = 1_000  # how many rows one transaction removes at most
_LENGTH = "length(data) + coalesce(length(exclude), 0)"


class Removed(NamedTuple):
    """The bytes that a step freed, by how much the digest changes, and whether there is more to remove."""

    bytes: int = 0
    digest: int = 0
    more: bool = False


def trim_channel(connection: sqlite3.Connection, row: ChannelRow, retention: Retention) -> Removed:
    """Remove what is over one channel's limits, and update `row`, which the caller writes."""
    until = row.first
    too_many = row.top - row.first + 1 - retention.max_count
    if too_many > max(16, retention.max_count // 8):
        until += too_many
    if row.bytes > retention.max_channel_bytes:
        until = max(until, _first_within(connection, row, retention.max_channel_bytes * 7 // 8))
    if until == row.first:
        return Removed()
    gone = connection.execute(
        f"DELETE FROM publications WHERE channel_id = ? AND offset < ? RETURNING {_LENGTH}, checksum",  # noqa: S608 - a constant
        (row.id, until),
    ).fetchall()
    if len(gone) != until - row.first:
        raise DamagedFileError(f"channel {row.id} has not the publications that it should have")
    size: int = sum(length + ROW_BYTES for length, _ in gone)
    row.first = until
    row.bytes -= size
    return Removed(size, -sum(checksum for _, checksum in gone))


def _first_within(connection: sqlite3.Connection, row: ChannelRow, budget: int) -> int:
    spare = row.bytes - budget
    until = row.first
    sizes = connection.execute(
        f"SELECT offset, {_LENGTH} FROM publications WHERE channel_id = ? ORDER BY offset",  # noqa: S608 - a constant
        (row.id,),
    )
    for offset, size in sizes:
        if spare <= 0:
            break
        spare -= size + ROW_BYTES
        until = offset + 1
    sizes.close()
    return until


def trim_oldest(
    connection: sqlite3.Connection, channels: ChannelTable, *, spare: int, before_ms: int
) -> Removed:
    """Remove the oldest rows of the whole log: `spare` bytes of them, and those from before `before_ms`.

    Channels must have been written before.
    """
    rows = connection.execute(
        f"SELECT id, channel_id, offset, {_LENGTH}, time_ms, checksum FROM publications"  # noqa: S608 - a constant
        " ORDER BY id LIMIT ?",
        (STEP_ROWS,),
    ).fetchall()
    last = size = digest = 0
    changed: dict[int, ChannelRow] = {}
    for number, channel_id, offset, length, time_ms, checksum in rows:
        if size >= spare and time_ms >= before_ms:
            break
        last = number
        size += length + ROW_BYTES
        digest -= checksum
        row = changed.get(channel_id) or changed.setdefault(channel_id, channels.by_id(channel_id))
        row.first = max(row.first, offset + 1)
        row.bytes -= length + ROW_BYTES
    if changed:
        connection.execute("DELETE FROM publications WHERE id <= ?", (last,))
        digest += channels.write(changed.values())
    return Removed(size, digest, more=len(rows) == STEP_ROWS and last == rows[-1][0])
