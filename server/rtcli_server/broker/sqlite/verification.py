"""Checks the content of a file when it is opened: that it is whole, and what its digest is.

Every function raises sqlite3.Error or DamagedFileError.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rtcli_server.broker.sqlite.damage import DamagedFileError
from rtcli_server.broker.sqlite.revocations import read_all
from rtcli_server.broker.sqlite.rows import (
    CHANNEL,
    DIGEST_MASK,
    KEY,
    PUBLICATION,
    ChannelRow,
    channel_row,
    check_epoch,
    check_key,
    check_publication,
    epoch_checksum,
)

# Larger files are not read completely when they are opened: of each row only whether it is there, and its
# content when it is read. About a second for each 128 MiB.
CHECKED_BYTES = 512 * 1024 * 1024


def check_structure(connection: sqlite3.Connection, path: Path) -> None:
    """Check SQLite's own structures, indexes included."""
    if path.stat().st_size > CHECKED_BYTES:
        return
    [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != "ok":
        raise DamagedFileError(verdict.splitlines()[-1])


def check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """Check each row, and that no publication is missing between the others."""
    query = connection.execute
    channels = [channel_row(values) for values in query(f"SELECT {CHANNEL} FROM channels")]  # noqa: S608 - constants
    _check_continuity(connection, channels)
    if path.stat().st_size > CHECKED_BYTES:
        return
    for publication in query(f"SELECT {PUBLICATION} FROM publications"):  # noqa: S608 - constants
        check_publication(publication)
    read_all(connection)
    for key in query(f"SELECT {KEY} FROM keys"):  # noqa: S608 - constants
        check_key(key)


def _check_continuity(connection: sqlite3.Connection, channels: list[ChannelRow]) -> None:
    """Compare the offsets that each channel has with those that it should have."""
    counted = connection.execute(
        "SELECT channel_id, min(offset), max(offset), count(*) FROM publications GROUP BY channel_id"
    )
    found = {channel_id: (first, top, count) for channel_id, first, top, count in counted}
    for row in channels:
        kept = row.top - row.first + 1
        if found.pop(row.id, (row.first, row.top, 0)) != (row.first, row.top, kept):
            raise DamagedFileError(f"channel {row.id} has not the publications that it should have")
    if found:
        raise DamagedFileError("there are publications without a channel")


def read_digest(connection: sqlite3.Connection) -> int:
    """Add up the digest of the log (rows.py)."""
    [(epoch,)] = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchall()
    total = 0
    for table in ("channels", "publications", "keys", "revocations"):
        [(part,)] = connection.execute(f"SELECT coalesce(sum(checksum), 0) FROM {table}")  # noqa: S608 - a constant
        total += part
    return (total + epoch_checksum(check_epoch(epoch))) & DIGEST_MASK
