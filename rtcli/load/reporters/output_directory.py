"""The directory of `--out`: one run at a time, whole files only, and nothing of an earlier run stays."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rtcli import files
from rtcli.errors import CliError

LOCK = ".rtcli-loadtest.lock"
_MAY_GO_ON = {errno.ENOSPC, errno.EDQUOT, errno.ENOLCK, errno.EOPNOTSUPP}  # no space, or no locks there


class OutputError(Exception):
    """A file could not be written; the text names the file and the reason."""


@contextlib.contextmanager
def locked_directory(path: Path, names: Iterable[str], *, warn: Callable[[str], None]) -> Iterator[None]:
    """Make the directory, keep other runs out of it, and remove the files `names` of an earlier run.

    Raises CliError (2) when it cannot be written to, or another run writes there. Where there are no locks or
    no space, the run goes on without a lock, and `warn` is told.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            try:
                stack.callback(_unlock, path / LOCK, _lock(path / LOCK))
            except OSError as error:
                if error.errno not in _MAY_GO_ON:
                    raise
                warn(f"{path}: not locked against other runs: {_reason(error)}")
            for name in names:
                files.remove_old(path / name)
                files.remove_parts(path / name)
        except OSError as error:
            raise CliError(
                f"{error.filename or path}: {_reason(error)}",
                hint="--out names a directory, which is made; may you write there?",
            ) from None
        yield


def _unlock(path: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        path.unlink()  # before the lock is given up, so that it is ours
    os.close(descriptor)


def _lock(path: Path) -> int:
    """Lock a file; returns its descriptor. Raises CliError when another process holds the lock."""
    while True:
        descriptor = files.open_or_make(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                with contextlib.suppress(OSError):  # a full disk: the lock holds without the number, too
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise CliError(
                f"{path.parent}: another run writes its results there"
                + (f" (process {holder})" if holder else ""),
                hint="give each run a directory of its own, or wait for the other to end",
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the holder removed the file before we had the lock: it is not in the way


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole, or as it was before. Raises OutputError."""
    try:
        files.write_whole(path, content)
    except OSError as error:
        raise OutputError(f"{path}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
