"""A SQLite file as a store: its lock, and the decision about its epochs when it is opened.

Theory: `PATH` holds the log, in WAL mode (https://sqlite.org/wal.html); `PATH-lock` is locked by the one
process that uses it.

A position must never become valid for another publication. So a file is opened with its epochs only if it
provably holds everything that was ever acknowledged from it: its digest is the one in the note (note.py), or,
where there is no note because it was brought from elsewhere, the one that it got when it was closed. In
every other case all channels get a new epoch: an older copy, files from different times, a write-ahead log
that is gone, was shortened or changed. With `synchronous=full` every acknowledged commit is on the disk; with
`normal` the operating system has it, and it survives the death of the process but not of the machine.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from rtcli_server.broker.base import InvalidStoreError, new_epoch
from rtcli_server.broker.sqlite import schema
from rtcli_server.broker.sqlite.damage import is_damage
from rtcli_server.broker.sqlite.note import Note, NoteFile, Synchronous, boot_id
from rtcli_server.broker.sqlite.rows import decode_text
from rtcli_server.broker.sqlite.verification import check_rows, check_structure, read_digest

BUSY_TIMEOUT_S = 2.0  # the wait for a foreign lock: a publish fails after about this time
_HEADER = b"SQLite format 3\0"

_log = logging.getLogger(__name__)


class StoreFile:
    """An open and locked store.

    `inode` is that of the file that was opened, `digest` that of the log in it. `damage` says what was found
    to be damaged since then, and may be read from any thread.
    """

    def __init__(self, path: Path, lock_fd: int, synchronous: Synchronous, digest: int) -> None:
        self.path = path
        self.digest = digest
        self.inode = path.stat().st_ino
        self.damage: str | None = None
        self._lock_fd = lock_fd
        self._synchronous: Synchronous = synchronous
        self._note = NoteFile(lock_fd, boot_id())

    def connect(self, *, read_only: bool) -> sqlite3.Connection:
        """Open one more connection, for one thread at a time. Raises sqlite3.Error."""
        return _connect(
            self.path, "query_only=1" if read_only else f"synchronous={self._synchronous}", mode="rw"
        )

    def note(self, confirmed: int, pending: int) -> None:
        """Note the digest of what is acknowledged, and the one that is committed next. Raises OSError."""
        self._note.write(self._synchronous, confirmed, pending)
        if self.damage is not None:  # a reader has found it meanwhile
            self._note.write("damaged", 0, 0)

    def note_closed(self, digest: int) -> None:
        """Note that the log was closed, and wait until that is on the disk. Raises OSError."""
        if self.damage is None:
            self._note.write("closed", digest, digest)
            self._note.synchronise()

    def report_damage(self, what: str) -> None:
        """Let nothing be acknowledged any more, and the next start begin new epochs. Logs one line."""
        if self.damage is not None:
            return
        self.damage = what
        _log.error("the log is damaged, publishes are refused until the server is started again: %s", what)
        with suppress(OSError):
            self._note.write("damaged", 0, 0)
            self._note.synchronise()

    def unlock(self) -> None:
        """Let another process open the store. The lock file stays: removing it would race with the other."""
        os.close(self._lock_fd)


def open_file(path: Path, synchronous: Synchronous) -> StoreFile:
    """Lock, check, create or migrate the store at `path`.

    Raises InvalidStoreError with a text that names the file and the problem.
    """
    if not path.parent.is_dir():
        raise InvalidStoreError(f"{path}: its directory does not exist")
    lock_fd = _lock(path)
    try:
        _check_header(path)
        note = NoteFile(lock_fd, boot_id()).read()
        os.close(_open_private(path))
        with closing(_connect(path, "synchronous=full", mode="rw")) as connection:
            digest = _prepare(connection, path, note)
        file = StoreFile(path, lock_fd, synchronous, digest)
        file.note(digest, digest)
    except (sqlite3.Error, OSError, ValueError) as error:
        os.close(lock_fd)
        raise InvalidStoreError(explain(path, error)) from error
    except BaseException:
        os.close(lock_fd)
        raise
    return file


def explain(path: Path, error: Exception) -> str:
    """Why a store cannot be opened, for people."""
    if "locked" in str(error):
        return f"{path}: another program holds a lock on it"
    if isinstance(error, ValueError) or is_damage(error):
        return f"{path} is damaged: {error}"
    return f"{path}: {error}"


def _connect(path: Path, pragma: str, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.text_factory = decode_text
        for setting in ("cache_size=-16384", "cell_size_check=1", pragma):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def _open_private(path: Path) -> int:
    """Open a file, and make it if need be: for its user alone, whatever the umask. Returns a descriptor.

    SQLite gives its -wal and -shm the mode of the file. One that is there already keeps its mode.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT, 0o600)  # a link may lead to what is not there yet
    os.fchmod(fd, 0o600)
    return fd


def _lock(path: Path) -> int:
    lock_path = path.with_name(path.name + "-lock")
    try:
        if lock_path.exists() and not lock_path.is_file():
            raise InvalidStoreError(f"{lock_path} is not a regular file")
        fd = _open_private(lock_path)
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
    if path.exists() and not path.is_file():
        raise InvalidStoreError(f"{path} is not a regular file")
    if not path.exists() or path.stat().st_size == 0:
        if path.with_name(path.name + "-wal").exists():
            raise InvalidStoreError(f"{path} is gone, but its -wal file is there: the log was damaged")
        return
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise InvalidStoreError(f"{path} is not a log of this program")


def _prepare(connection: sqlite3.Connection, path: Path, note: Note | None) -> int:
    """Check, create or migrate the content; return its digest, which is that of the log from now on."""
    version = schema.read_version(connection, path)
    check_structure(connection, path)
    [(mode,)] = connection.execute("PRAGMA journal_mode=WAL").fetchall()
    if mode != "wal":
        raise InvalidStoreError(f"{path}: its file system does not carry a write-ahead log")
    connection.execute("BEGIN IMMEDIATE")
    schema.migrate(connection, version)
    check_rows(connection, path)
    if not _is_complete(connection, note):
        _begin_epochs(connection)
    connection.execute("DELETE FROM meta WHERE name = 'closed'")
    digest = read_digest(connection)
    connection.execute("COMMIT")
    return digest


def _is_complete(connection: sqlite3.Connection, note: Note | None) -> bool:
    """Whether the file provably holds everything that was ever acknowledged from it."""
    meta: dict[str, str] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    if "epoch" not in meta:
        return False
    digest = read_digest(connection)
    if note is None:
        return meta.get("closed") == str(digest)
    return note.proves(digest, boot_id())


def _begin_epochs(connection: sqlite3.Connection) -> None:
    """Give every channel a new epoch, and forget the keys, whose positions are of the old ones."""
    epoch = new_epoch()
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
    connection.execute("UPDATE channels SET epoch = ?", (epoch,))
    connection.execute(
        "UPDATE channels SET checksum = channel_checksum(id, name, epoch, top, first, bytes, used_ms)"
    )
    connection.execute("DELETE FROM keys")
