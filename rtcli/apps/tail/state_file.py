"""`--state FILE`: keeps where a tail stopped. A crash may repeat events but never loses one.

The semantics are journalctl's --cursor-file: if the file holds an id, start after it; else as the other
options say. The id is saved after its line was flushed (and its command has succeeded), by rename, at most
once per second and at the end.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from rtcli import files
from rtcli.errors import CliError

SAVE_INTERVAL_S = 1.0
_MAX_BYTES = 65_536
_VERSION = 1


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    server: str
    filter: str
    last_id: str
    ts: str


def filter_hash(**parts: Sequence[str] | str | None) -> str:
    """A digest of the options that select events. Their order does not matter."""
    canonical = {
        name: value if value is None or isinstance(value, str) else sorted(set(value))
        for name, value in parts.items()
    }
    return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()


class StateFile:
    """The open state file of one tail. `last_id` is None when there is nothing to resume from.

    Raises CliError (2) when another tail has the file open, when it is no state file, when it belongs to
    another server or filter (unless `reset`), and when it cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        server: str,
        filter_digest: str,
        timestamp: Callable[[], str],
        reset: bool = False,
    ) -> None:
        self._path = path
        self._server = server
        self._filter = filter_digest
        self._timestamp = timestamp
        self._saved_at = float("-inf")
        self._dirty = False
        try:
            self._place = files.place_of(path)
        except OSError as error:
            raise _unusable(path, error) from None
        self._lock = self._take_lock()
        files.remove_parts(self._place)
        try:
            self.last_id = None if reset else self._load()
        except CliError:
            self._lock.close()
            raise

    def _take_lock(self) -> IO[bytes]:
        # Not the file itself: it is replaced by each save, and a lock stays with the old one.
        lock_path = self._place.with_name(self._place.name + ".lock")
        try:
            lock = os.fdopen(files.open_or_make(lock_path, files.PRIVATE), "rb+")
        except OSError as error:
            raise _unusable(self._path, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise CliError(
                f"another tail is using {self._path}", hint="end it, or give this one its own --state file"
            ) from None
        return lock

    def _load(self) -> str | None:
        try:
            with self._place.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self._path, error) from None
        if not data.strip():
            return None
        content = self._decode(data)
        if content.server != self._server:
            raise self._mismatch(f"was written for {content.server}, not {self._server}")
        if content.filter != self._filter:
            raise self._mismatch("was written for other rooms or filters")
        return content.last_id

    def _decode(self, data: bytes) -> _Content:
        try:
            content = msgspec.json.decode(data, type=_Content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._mismatch("is not a state file of rtcli") from None
        # An id with a line break could not be sent back; with NUL the standard ignores it.
        if content.v != _VERSION or any(character in content.last_id for character in "\r\n\0"):
            raise self._mismatch("is not a state file of this rtcli")
        return content

    def _mismatch(self, why: str) -> CliError:
        return CliError(
            f"{self._path} {why}", hint="start over with --state-reset, or give another --state file"
        )

    def record(self, last_id: str, *, now: float) -> float | None:
        """Record the id of an event that is done; save it if a second has passed since the last save.

        Returns the seconds after which `save` is due, or None when nothing is left to save.
        """
        self._dirty = self._dirty or last_id != self.last_id
        self.last_id = last_id
        due_s = self._saved_at + SAVE_INTERVAL_S - now
        if self._dirty and due_s <= 0:
            self.save(now=now)
        return due_s if self._dirty else None

    def save(self, *, now: float) -> None:
        """Write the id if it has changed."""
        if not self._dirty or self.last_id is None:
            return
        content = _Content(_VERSION, self._server, self._filter, self.last_id, self._timestamp())
        try:
            files.write_whole(self._place, msgspec.json.encode(content) + b"\n", files.PRIVATE)
        except OSError as error:
            raise _unusable(self._path, error) from None
        self._dirty = False
        self._saved_at = now

    def close(self, *, now: float) -> None:
        """Save what is not saved, and release the file."""
        try:
            self.save(now=now)
        finally:
            self._lock.close()


def _unusable(path: Path, error: OSError) -> CliError:
    return CliError(
        f"--state {path}: {error.strerror or error}", hint="give a file that you can read and write"
    )
