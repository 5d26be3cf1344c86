"""The tables of the log, and their versions.

`application_id` marks a file as ours, `user_version` is the version of its schema.
"""

from __future__ import annotations

import sqlite3

from rtcli_server.broker.base import InvalidStoreError
from rtcli_server.broker.sqlite.rows import channel_checksum, key_checksum, publication_checksum

APPLICATION_ID = 0x72746C67  # "rtlg"

# MIGRATIONS[n] migrates schema n to n + 1. A released one is never edited.
MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        epoch TEXT NOT NULL,
        top INTEGER NOT NULL,
        first INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        used_ms INTEGER NOT NULL
    );
    CREATE TABLE publications (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel_id INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        event TEXT NOT NULL,
        data BLOB NOT NULL,
        time_ms INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX publications_by_offset ON publications (channel_id, offset);
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        epoch TEXT NOT NULL,
        offset INTEGER NOT NULL,
        time_ms INTEGER NOT NULL
    );
    """,
    """
    ALTER TABLE channels ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE publications ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE keys ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    UPDATE channels SET checksum = channel_checksum(id, name, epoch, top, first, bytes, used_ms);
    UPDATE publications SET checksum = publication_checksum(channel_id, offset, event, data, time_ms);
    UPDATE keys SET checksum = key_checksum(channel, key, epoch, offset, time_ms);
    DELETE FROM meta WHERE name != 'epoch';
    """,
    """
    CREATE TABLE revocations (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        before_ms INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE publications ADD COLUMN exclude BLOB;
    """,
)


def read_version(connection: sqlite3.Connection, path: object) -> int:
    """Return the version of the schema; 0 for a new file. Raises InvalidStoreError for a foreign one."""
    version = _number(connection, "user_version")
    application = _number(connection, "application_id")
    is_new = version == 0 and application == 0 and _number(connection, "schema_version") == 0
    if not is_new and application != APPLICATION_ID:
        raise InvalidStoreError(f"{path} is a SQLite file, but not a log of this program")
    if version > len(MIGRATIONS):
        raise InvalidStoreError(f"{path} was written by a newer version (schema {version})")
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the schema up to date, within the caller's transaction."""
    connection.create_function("channel_checksum", 7, channel_checksum, deterministic=True)
    connection.create_function("publication_checksum", 5, publication_checksum, deterministic=True)
    connection.create_function("key_checksum", 5, key_checksum, deterministic=True)
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    [(value,)] = connection.execute(f"PRAGMA {pragma}").fetchall()
    return int(value)
