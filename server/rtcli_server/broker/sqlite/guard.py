"""Whether the files of the SQLite log are still those that it has open, and whole.

SQLite opens its files once and looks at their names no more: into a file that somebody removed, replaced or
shortened meanwhile it commits without an error, and nobody finds there again what was acknowledged. So the
writer looks, once per transaction. What is flipped within a file, in place, is not seen here.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from rtcli_server.broker.sqlite.file import StoreFile

# The beginning of the index of a write-ahead log (https://sqlite.org/walformat.html, section 2.1): the size
# of a page at byte 14 (1 means 65 536), then how many frames the log holds, in the machine's byte order.
_INDEX = struct.Struct("=14xHI")
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


class DamagedFileError(OSError):
    """Somebody else removed, replaced or shortened a file of the log."""


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
        """Look at the file itself, which never shrinks. To be called before a transaction."""
        self._size = _look_at(self._path, self._inode, self._size)

    def check_wal(self) -> None:
        """Look at the write-ahead log. To be called within a transaction, when nobody else can begin it anew.

        The index may say that it is empty: then a checkpoint, of ours or of another program, has emptied it.
        """
        if self._index_fd < 0:
            self._open_index()
        page_bytes, frames = _INDEX.unpack(os.pread(self._index_fd, _INDEX.size, 0))
        frame_bytes = _FRAME_HEADER_BYTES + (65_536 if page_bytes == 1 else page_bytes)
        _look_at(self._wal, self._wal_inode, _WAL_HEADER_BYTES + frames * frame_bytes if frames else 0)

    def _open_index(self) -> None:
        """Keep the index open: closing any descriptor of it would drop SQLite's locks there.

        POSIX: "All locks associated with a file for a given process shall be removed when a file descriptor
        for that file is closed by that process."
        """
        self._index_fd = os.open(self._index, os.O_RDONLY | os.O_CLOEXEC)
        self._index_inode = os.fstat(self._index_fd).st_ino
        self._wal_inode = self._wal.stat().st_ino

    def reconnected(self) -> None:
        """Take the files as they are if the connection that was closed was the last one, and they are new."""
        try:
            is_new = self._index.stat().st_ino != self._index_inode
        except FileNotFoundError:
            is_new = True
        if is_new:
            self.close()

    def close(self) -> None:
        """Let go, after the connection."""
        if self._index_fd >= 0:
            os.close(self._index_fd)
            self._index_fd = -1


def _look_at(path: Path, inode: int, least_bytes: int) -> int:
    """Return the size of a file that must still be the same and hold at least so much."""
    try:
        status = os.stat(path)  # noqa: PTH116 - once per commit; Path.stat costs several times that
    except FileNotFoundError:
        raise DamagedFileError(f"{path} was removed") from None
    if status.st_ino != inode or status.st_size < least_bytes:
        raise DamagedFileError(f"{path} was replaced or truncated")
    return status.st_size
