"""Writes files whole, with a mode, and regular ones only: what the commands write goes through here.

A path that a person gives may name a FIFO, a socket, a device, a directory. Nothing is ever written into one
of these, put in its place, or removed: it is refused. A symbolic link is followed: what it points to is
written, or made if it is not there yet, and the link stays. The kernel's rules for links in directories that
everybody may write to hold here, too.

A file is written under a name of its own beside its place and then renamed: whoever reads sees the old
content or the new one. PRIVATE files can be read by their user alone, whatever the umask; SHARED ones
follow it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

PRIVATE = 0o600
SHARED = 0o666
_PART = ".{}.{}.part"  # a file that is being written: the name of its place, and a random word
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


class NotRegularError(OSError):
    """The path names something that is no regular file."""

    def __init__(self, path: Path, mode: int) -> None:
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        super().__init__(errno.EINVAL, f"is {kind}, not a regular file", str(path))


def place_of(path: Path) -> Path:
    """Where writing to `path` writes: the path itself, or what its link points to.

    Raises NotRegularError when something else is there, and OSError for a link that must not be followed.
    """
    try:
        # Through the link: the kernel refuses what it would refuse to open (proc(5), protected_symlinks).
        status = os.stat(path)  # noqa: PTH116 - its errors are those of open
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(path, status.st_mode)
    return Path(os.path.realpath(path))


def write_whole(path: Path, data: bytes, mode: int = SHARED) -> os.stat_result:
    """Write a file, new or instead of the old one, and return its status.

    Raises OSError, after which all is as it was.
    """
    place = place_of(path)
    part = place.with_name(_PART.format(place.name, secrets.token_hex(4)))
    status = write_new(part, data, mode)
    try:
        part.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    return status


def write_new(path: Path, data: bytes, mode: int = SHARED) -> os.stat_result:
    """Write a file that must not be there, not even as a link, and return its status.

    Raises FileExistsError and other OSErrors. What could not be written whole is removed.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode == PRIVATE:
                os.fchmod(descriptor, PRIVATE)  # the umask has no say
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            return os.fstat(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def remove_parts(path: Path) -> None:
    """Remove what writers of `path` that were killed have left beside it. No other may be writing now.

    What cannot be removed stays: somebody else has put it there.
    """
    for part in path.parent.glob(_PART.format(_escaped(path.name), "[0-9a-f]" * 8)):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(part.lstat().st_mode):
                part.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def remove_old(path: Path) -> None:
    """Remove a file before a new one is written; of a link, what it points to. Raises as `place_of` does."""
    place_of(path).unlink(missing_ok=True)


def open_or_make(path: Path, mode: int = SHARED) -> int:
    """Open a file to read and write, and make it if need be; returns a descriptor.

    Raises as `place_of` does.
    """
    place = place_of(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(place, flags, mode)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):  # it was put there just now
        os.close(descriptor)
        raise NotRegularError(path, status.st_mode)
    if mode == PRIVATE and status.st_uid == os.geteuid():
        os.fchmod(descriptor, PRIVATE)
    return descriptor


class OwnFile:
    """A file that says something as long as this process lives; removed only if this process wrote it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when it cannot be written there because of what is there."""
        self._path = path
        self._place = place_of(path)
        self._written: os.stat_result | None = None

    def write(self, text: str) -> None:
        """Write it, whole. Raises OSError."""
        self._written = write_whole(self._path, text.encode())

    def remove(self) -> None:
        """Remove it, unless it was never written, or is another's by now."""
        if self._written is None:
            return
        with contextlib.suppress(OSError):
            if _identity(self._place.lstat()) == _identity(self._written):
                self._place.unlink()


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    # The number of an inode is given again as soon as its file is gone.
    return status.st_dev, status.st_ino, status.st_mtime_ns
