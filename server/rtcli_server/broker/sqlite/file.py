"""A SQLite file as a store: its lock, its schema, and the checks when it is opened.

Theory: `PATH` holds the log, in WAL mode (https://sqlite.org/wal.html); `PATH-lock` is locked by the one
process that uses it. `application_id` marks a file as ours, `user_version` is the version of its schema.

A position must never become valid for another publication. With `synchronous=full` every acknowledged commit
is on the disk; with `normal` the operating system has it, and it survives the death of the process but not of
the machine. So a file that was not closed, was written with `normal`, and was last used before the last boot,
may have lost its latest commits: then every channel gets a new epoch. The same holds when the file is not
what the last process left there: an older copy, or one without its write-ahead log. To detect that, each
process that writes increments `run`, in the file and in `PATH-lock`, which no backup restores.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtcli_server.broker.base import InvalidStoreError, new_epoch

APPLICATION_ID = 0x72746C67  # "rtlg"
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 2.0  # the wait for a foreign lock: a publish fails after about this time
CHECKED_BYTES = 64 * 1024 * 1024  # files up to this size are checked completely when they are opened
NOTE_BYTES = 20
_HEADER = b"SQLite format 3\0"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Synchronous = Literal["full", "normal"]

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
)


@dataclass(frozen=True, slots=True)
class StoreFile:
    """An open and locked store. `inode` is that of the file that was opened."""

    path: Path
    lock_fd: int
    inode: int
    synchronous: Synchronous

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        """Open one more connection, for one thread at a time."""
        connection = _connect(self.path)
        connection.execute("PRAGMA query_only=1" if read_only else f"PRAGMA synchronous={self.synchronous}")
        return connection

    def note_run(self, run: int) -> None:
        """Write the number of the run that the file holds into its lock file, if that is possible."""
        with suppress(OSError):
            _write_note(self.lock_fd, str(run))

    def distrust(self) -> None:
        """Mark the file as damaged in its lock file, so that the next run starts new epochs."""
        with suppress(OSError):
            _write_note(self.lock_fd, "damaged")

    def unlock(self) -> None:
        """Let another process open the store. The lock file stays: removing it would race with the other."""
        os.close(self.lock_fd)


def open_file(path: Path, synchronous: Synchronous) -> StoreFile:
    """Lock, check, create or migrate the store at `path`.

    Raises InvalidStoreError with a text that names the file and the problem.
    """
    if not path.parent.is_dir():
        raise InvalidStoreError(f"{path}: its directory does not exist")
    lock_fd = _lock(path)
    try:
        _check_header(path)
        leftovers = _Leftovers(_read_note(lock_fd), _has_wal(path), boot_id())
        with closing(_connect(path)) as connection:
            run = _prepare(connection, path, synchronous, leftovers)
        file = StoreFile(path, lock_fd, path.stat().st_ino, synchronous)
    except (sqlite3.Error, OSError, ValueError) as error:
        os.close(lock_fd)
        raise InvalidStoreError(f"{path}: {_explain(error)}") from error
    except BaseException:
        os.close(lock_fd)
        raise
    file.note_run(run)
    return file


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


def _check_header(path: Path) -> None:
    """Raise InvalidStoreError for a path or a file that is no SQLite file, before SQLite touches it."""
    if path.is_dir():
        raise InvalidStoreError(f"{path} is a directory")
    if not path.exists() or path.stat().st_size == 0:
        if path.with_name(path.name + "-wal").exists():
            raise InvalidStoreError(f"{path} is gone, but its -wal file is there: the log was damaged")
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise InvalidStoreError(f"{path} is not a log of this program")


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _read_note(lock_fd: int) -> str:
    """Read what the last run wrote; reserve the space for this run's note, so that it fits on a full disk."""
    note = os.pread(lock_fd, NOTE_BYTES, 0)
    if len(note) < NOTE_BYTES:
        _write_note(lock_fd, "")
    return note.decode("ascii", "replace").strip()


def _write_note(lock_fd: int, text: str) -> None:
    os.pwrite(lock_fd, text.ljust(NOTE_BYTES - 1).encode() + b"\n", 0)


def _prepare(
    connection: sqlite3.Connection, path: Path, synchronous: Synchronous, leftovers: _Leftovers
) -> int:
    """Check, create or migrate the schema; return the number of the last run that wrote to the file."""
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
    run = _begin_run(connection, synchronous, leftovers)
    connection.execute("COMMIT")
    return run


@dataclass(frozen=True, slots=True)
class _Leftovers:
    """The last run's note, whether there is a -wal with content, and the id of the current boot."""

    note: str
    has_wal: bool
    boot: str

    def are_complete(self, meta: dict[str, str]) -> bool:
        """Whether the file still holds everything that was ever acknowledged from it."""
        run = int(meta.get("run", "0"))
        if self.note not in {"", str(run), str(run - 1)}:  # killed before it could note its number
            return False
        if meta.get("clean") != "0":
            return True
        if not self.has_wal and (meta.get("in_wal") == "1" or not self.note):
            return False
        return meta.get("synchronous") == "full" or bool(self.boot and meta.get("boot_id") == self.boot)


def _begin_run(connection: sqlite3.Connection, synchronous: Synchronous, leftovers: _Leftovers) -> int:
    meta: dict[str, str] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    if not meta or not leftovers.are_complete(meta):
        meta["epoch"] = new_epoch()
        connection.execute("UPDATE channels SET epoch = ?", (meta["epoch"],))
        connection.execute("DELETE FROM keys")
    meta |= {"clean": "0", "in_wal": "0", "synchronous": synchronous, "boot_id": leftovers.boot}
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
    return int(meta.get("run", "0"))


def boot_id() -> str:
    """The id of the current boot of this machine; empty where the system has none."""
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
    if isinstance(error, ValueError) or "malformed" in text or "not a database" in text:
        return f"it is damaged ({text})"
    return text
