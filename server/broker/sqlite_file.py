"""A SQLite file as a store: its lock, its schema, and what is refused when it is opened.

Theory: `PATH` holds the log, in WAL mode (https://sqlite.org/wal.html), `PATH-lock` is locked by the one
process that uses it. `application_id` says that a file is ours, `user_version` which schema it has.

A position must never become valid for another publication. With `synchronous=full` every acknowledged
commit is on the disk; with `normal` it is with the operating system, and survives the death of the process
but not of the machine. So a file that was not closed, was written with `normal`, and comes from before the
last boot, may have lost its latest commits: then every channel gets a new epoch.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from server.broker.base import InvalidStoreError, new_epoch

APPLICATION_ID = 0x72746C67  # "rtlg"
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 2.0  # how long a foreign lock is waited for: a publish fails in about this time
CHECKED_BYTES = 64 * 1024 * 1024  # files up to this size are checked as a whole when they are opened
_HEADER = b"SQLite format 3\0"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Synchronous = Literal["full", "normal"]

# migrations[n] leads from schema n to n + 1. A released one is never edited.
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
)


@dataclass(frozen=True, slots=True)
class StoreFile:
    """An opened and locked store. `inode` is that of the file that was opened."""

    path: Path
    lock_fd: int
    inode: int
    synchronous: Synchronous

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        """Open one more connection, for one thread at a time."""
        connection = _connect(self.path)
        connection.execute("PRAGMA query_only=1" if read_only else f"PRAGMA synchronous={self.synchronous}")
        return connection

    def unlock(self) -> None:
        """Let another process open it. The lock file stays: removing it would race with that process."""
        os.close(self.lock_fd)


def open_file(path: Path, synchronous: Synchronous) -> StoreFile:
    """Lock, check, create or migrate the store at `path`.

    Raises InvalidStoreError with a text that names the file and what is wrong with it.
    """
    if not path.parent.is_dir():
        raise InvalidStoreError(f"{path}: its directory does not exist")
    lock_fd = _lock(path)
    try:
        _look_at_header(path)
        with closing(_connect(path)) as connection:
            _prepare(connection, path, synchronous)
        return StoreFile(path, lock_fd, path.stat().st_ino, synchronous)
    except (sqlite3.Error, OSError) as error:
        os.close(lock_fd)
        raise InvalidStoreError(f"{path}: {_explain(error)}") from error
    except BaseException:
        os.close(lock_fd)
        raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    connection.execute("PRAGMA cache_size=-16384")
    return connection


def _lock(path: Path) -> int:
    lock_path = path.with_name(path.name + "-lock")
    try:
        fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InvalidStoreError(f"{lock_path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise InvalidStoreError(
            f"{path} is in use by another process (one process per file; several instances need Redis)"
        ) from error
    return fd


def _look_at_header(path: Path) -> None:
    """Refuse a file that SQLite would call something else before it can be touched."""
    if path.is_dir():
        raise InvalidStoreError(f"{path} is a directory")
    if not path.exists() or path.stat().st_size == 0:
        if path.with_name(path.name + "-wal").exists():
            raise InvalidStoreError(f"{path} is gone, but its -wal file is there: the log was damaged")
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise InvalidStoreError(f"{path} is not a log of this program")


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    version = _number(connection, "user_version")
    application = _number(connection, "application_id")
    is_new = version == 0 and application == 0 and _number(connection, "schema_version") == 0
    if not is_new and application != APPLICATION_ID:
        raise InvalidStoreError(f"{path} is a SQLite file, but not a log of this program")
    if version > SCHEMA_VERSION:
        raise InvalidStoreError(f"{path} was written by a newer version (schema {version})")
    if path.stat().st_size <= CHECKED_BYTES:
        [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise InvalidStoreError(f"{path} is damaged: {verdict}")
    [(mode,)] = connection.execute("PRAGMA journal_mode=WAL").fetchall()
    if mode != "wal":
        raise InvalidStoreError(f"{path}: its file system does not carry a write-ahead log")
    connection.execute("PRAGMA synchronous=full")
    connection.execute("BEGIN IMMEDIATE")
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    _begin_run(connection, synchronous, boot_id())
    connection.execute("COMMIT")


def _begin_run(connection: sqlite3.Connection, synchronous: Synchronous, boot: str) -> None:
    meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    may_have_lost = (
        meta.get("clean") == "0"
        and meta.get("synchronous") == "normal"
        and (not boot or meta.get("boot_id") != boot)
    )
    if not meta or may_have_lost:
        meta["epoch"] = new_epoch()
        connection.execute("UPDATE channels SET epoch = ?", (meta["epoch"],))
        connection.execute("DELETE FROM keys")
    meta |= {"clean": "0", "synchronous": synchronous, "boot_id": boot}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


def boot_id() -> str:
    """Name the running boot of this machine; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    [(value,)] = connection.execute(f"PRAGMA {pragma}").fetchall()
    return int(value)


def _explain(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "another program holds a lock on it"
    if "malformed" in text or "not a database" in text:
        return f"it is damaged ({text})"
    return text
