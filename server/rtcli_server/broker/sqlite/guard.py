"""Checks that the files of the SQLite log are still those that it has open, and complete.

SQLite opens its files once and does not look at their names again: it commits without an error into a file
that somebody has removed, replaced or truncated meanwhile, and what was acknowledged is lost. So the writer
checks once per transaction. Bytes that change in place are found when they are read (rows.py).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from rtcli_server.broker.sqlite.damage import DamagedFileError
from rtcli_server.broker.sqlite.file import StoreFile

# The beginning of the index of a write-ahead log (https://sqlite.org/walformat.html, section 2.1): the size
# of a page at byte 14 (1 means 65 536), then the number of frames in the log, in the machine's byte order.
_INDEX = struct.Struct("=14xHI")
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


class FileGuard:
    """Remembers the files of one writing connection. The checks raise DamagedFileError."""

    def __init__(self, file: StoreFile) -> None:
        self._path = file.path
        self._inode = file.inode
        self._wal = file.path.with_name(file.path.name + "-wal")
        self._index = file.path.with_name(file.path.name + "-shm")
        self._size = 0
        self._wal_inode = 0
        self._index_fd = -1
        self._index_inode = 0

    def check_file(self) -> None:
        """Check the file itself, which never shrinks. Call this before a transaction."""
        self._size = _check_size(self._path, self._inode, self._size)

    def check_wal(self) -> None:
        """Check the write-ahead log. Call this within a transaction, when no other program can restart it.

        The index may say that it is empty: then a checkpoint, ours or another program's, has emptied it.
        """
        if self._index_fd < 0:
            self._open_index()
        page_bytes, frames = _INDEX.unpack(os.pread(self._index_fd, _INDEX.size, 0))
        frame_bytes = _FRAME_HEADER_BYTES + (65_536 if page_bytes == 1 else page_bytes)
        _check_size(self._wal, self._wal_inode, _WAL_HEADER_BYTES + frames * frame_bytes if frames else 0)

    def _open_index(self) -> None:
        """Open the index and keep it open: closing any descriptor of it would drop SQLite's locks there.

        POSIX: "All locks associated with a file for a given process shall be removed when a file descriptor
        for that file is closed by that process."
        """
        self._index_fd = os.open(self._index, os.O_RDONLY | os.O_CLOEXEC)
        self._index_inode = os.fstat(self._index_fd).st_ino
        self._wal_inode = self._wal.stat().st_ino

    def reconnected(self) -> None:
        """Accept the files as they are if closing the last connection has made SQLite create them anew."""
        try:
            is_new = self._index.stat().st_ino != self._index_inode
        except FileNotFoundError:
            is_new = True
        if is_new:
            self.close()

    def close(self) -> None:
        """Close the index; call this after the connection was closed."""
        if self._index_fd >= 0:
            os.close(self._index_fd)
            self._index_fd = -1


def _check_size(path: Path, inode: int, least_bytes: int) -> int:
    """Return the size of a file that must be the same as before, and have at least `least_bytes` bytes."""
    try:
        status = os.stat(path)  # noqa: PTH116 - once per commit; Path.stat costs several times that
    except FileNotFoundError:
        raise DamagedFileError(f"{path} was removed") from None
    if status.st_ino != inode or status.st_size < least_bytes:
        raise DamagedFileError(f"{path} was replaced or truncated")
    return status.st_size
