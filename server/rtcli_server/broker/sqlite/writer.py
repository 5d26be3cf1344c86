"""The writing side of the SQLite log: turns a batch of publishes into one transaction. Blocking, one thread.

Everything that is kept in memory here (channels, keys, sizes) mirrors committed rows only: after a failed
transaction it is read again. The digest and the names of the channels are not: what was committed last is
known of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from rtcli.protocol.exclusion import Exclusion, encode_exclusion
from rtcli.protocol.position import Position
from rtcli_server.auth.revocations import OVER_FOR_MS, Revocation
from rtcli_server.broker.base import BrokerUnavailableError, Published, Retention, new_epoch
from rtcli_server.broker.sqlite import revocations
from rtcli_server.broker.sqlite.channels import ChannelNames, ChannelTable
from rtcli_server.broker.sqlite.damage import is_damage
from rtcli_server.broker.sqlite.file import StoreFile
from rtcli_server.broker.sqlite.guard import FileGuard
from rtcli_server.broker.sqlite.keys import IdempotencyTable, KeyRow
from rtcli_server.broker.sqlite.retention import ROW_BYTES, trim_channel, trim_oldest
from rtcli_server.broker.sqlite.rows import (
    DIGEST_MASK,
    PUBLICATION,
    ChannelRow,
    epoch_checksum,
    key_checksum,
    publication_checksum,
)


class UnwritableError(BrokerUnavailableError):
    """One of the publications can never be written: a lone surrogate, an integer over 64 bits, too long."""


class DamagedLogError(BrokerUnavailableError):
    """The files are damaged: nothing is written any more. It was logged when it was found."""


class Append(NamedTuple):
    """One publish that waits to be appended."""

    channel: str
    event: str
    data: bytes
    key: str | None
    time_ms: int
    exclude: Exclusion | None = None

    @property
    def content_bytes(self) -> int:
        """As of a `Publication`."""
        size = len(self.data)
        return size if self.exclude is None else size + self.exclude.memory_bytes


@dataclass(slots=True)
class _Changes:
    """The rows that one transaction will write."""

    rows: list[tuple[int, int, str, bytes, int, bytes | None, int]] = field(default_factory=list)
    key_rows: list[KeyRow] = field(default_factory=list)
    keys: dict[tuple[str, str], Position] = field(default_factory=dict)
    channels: dict[str, ChannelRow] = field(default_factory=dict)


class Writer:
    """Appends batches to the file and trims it. Every method blocks; use from one thread at a time."""

    def __init__(self, file: StoreFile, retention: Retention, *, now_ms: Callable[[], int]) -> None:
        """Open a connection. Raises sqlite3.Error and DamagedFileError."""
        self._file = file
        self._retention = retention
        self._now_ms = now_ms
        self._committed_digest = file.digest
        self._connection = file.connect(read_only=False)
        self._guard = FileGuard(file)
        self._is_connected = True
        try:
            self._names = ChannelNames(self._connection)
            self._load()
        except BaseException:
            self._connection.close()
            raise

    def _load(self) -> None:
        """Read what is kept in memory. Raises sqlite3.Error and DamagedFileError."""
        self._channels = ChannelTable(self._connection, self._names)
        self._keys = IdempotencyTable(self._connection, self._retention, self._now_ms())
        [(self._epoch,)] = self._connection.execute("SELECT value FROM meta WHERE name = 'epoch'")
        self._digest = self._committed_digest
        self._is_stale = False

    def stored_top(self, channel: str) -> int:
        """The least top that a reader must find; 0 where that is not known. May be called on any thread."""
        return self._channels.stored_top(channel)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit the block, or raise BrokerUnavailableError with nothing of it in the log.

        When the commit itself fails, it may be in the log after all: its frames may be in the write-ahead log
        (https://sqlite.org/walformat.html, section 4) although they could not be synchronised, and a process
        that starts then finds them. An error that is no error of the log (a bug) is raised as it is.
        """
        if self._file.damage is not None:
            raise DamagedLogError(f"the log is damaged: {self._file.damage}")
        commits = False
        try:
            self._begin()
            yield
            commits = True
            self._commit()
        except Exception as error:
            self._is_stale = True
            self._names.rolled_back()
            self._roll_back()
            raise self._refusal(error, maybe_committed=commits and not _has_not_committed(error)) from error

    def _begin(self) -> None:
        self._guard.check_file()
        if not self._is_connected:
            self._connection = self._file.connect(read_only=False)
            self._guard.reconnected()
            self._is_connected = True
        if self._is_stale:
            self._load()
        # IMMEDIATE: a deferred transaction that turns into a writing one fails at once whatever the
        # timeout (https://sqlite.org/rescode.html#busy_snapshot).
        self._connection.execute("BEGIN IMMEDIATE")
        self._guard.check_wal()

    def _commit(self) -> None:
        """Commit between two notes: of what may be in the file then, and of what is."""
        digest = self._digest & DIGEST_MASK
        changes = digest != self._committed_digest
        if changes:
            self._file.note(self._committed_digest, digest)
        self._connection.execute("COMMIT")
        self._names.committed()
        self._committed_digest = self._digest = digest
        if changes:
            self._file.note(digest, digest)

    def _refusal(self, error: Exception, *, maybe_committed: bool) -> Exception:
        if isinstance(error, sqlite3.DataError | ValueError | OverflowError):
            return UnwritableError(f"the log cannot be written: {error}")
        if is_damage(error):
            self._file.report_damage(str(error))
            return DamagedLogError(f"the log is damaged: {error}", maybe_published=maybe_committed)
        if isinstance(error, sqlite3.Error | OSError):
            text = f"the log cannot be written: {error}"
            return BrokerUnavailableError(text, maybe_published=maybe_committed)
        return error

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()
            self._is_connected = False

    def append(self, batch: list[Append]) -> list[Published]:
        """Commit a batch, in its order, as one transaction.

        Raises BrokerUnavailableError: then all of it may be in the log where `maybe_published` says so, else
        nothing. Of these, UnwritableError means that the rest of the batch can be written.
        """
        with self._transaction():
            changes = _Changes()
            published = [self._place(append, changes) for append in batch]
            self._write(changes)
        for row in changes.channels.values():
            row.stored_top = row.top
        self._keys.memory.remember_all(changes.keys)
        return published

    def _place(self, append: Append, changes: _Changes) -> Published:
        """Give a publish its position, or that of the first one with its key."""
        channel, event, data, key, time_ms, exclude = append
        pair = None if key is None else (channel, key)
        if pair is not None:
            first = changes.keys.get(pair) or self._keys.memory.find(pair)
            if first is not None:
                return Published(first, duplicate=True)
        row = changes.channels.get(channel)
        if row is None:
            row = changes.channels[channel] = self._channels.get(channel, self._epoch)
        row.top += 1
        row.used_ms = time_ms
        excluded = None if exclude is None else encode_exclusion(exclude)
        size = len(data) + ROW_BYTES + len(excluded or b"")
        row.bytes += size
        self._channels.bytes += size
        position = Position(row.epoch, row.top)
        checksum = publication_checksum(row.id, row.top, event, data, time_ms, excluded)
        self._digest += checksum
        changes.rows.append((row.id, row.top, event, data, time_ms, excluded, checksum))
        if pair is not None:
            row_of_key = (*pair, row.epoch, row.top, time_ms)
            changes.key_rows.append((*row_of_key, key_checksum(*row_of_key)))
            changes.keys[pair] = position
        return Published(position, duplicate=False)

    def _write(self, changes: _Changes) -> None:
        self._connection.executemany(
            f"INSERT INTO publications ({PUBLICATION}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
            changes.rows,
        )
        rows = changes.channels.values()
        for row in rows:
            removed = trim_channel(self._connection, row, self._retention)
            self._channels.bytes -= removed.bytes
            self._digest += removed.digest
        self._digest += self._channels.write(rows)
        if changes.key_rows:
            self._digest += self._keys.insert(changes.key_rows)
        if self._channels.bytes > self._retention.max_total_bytes:
            self._trim_oldest()

    def _trim_oldest(self) -> bool:
        budget = self._retention.max_total_bytes
        used = self._channels.bytes
        removed = trim_oldest(
            self._connection,
            self._channels,
            # A little more than needed, so that not every publish has to do this.
            spare=used - budget * 15 // 16 if used > budget else 0,
            before_ms=self._now_ms() - self._retention.max_age_ms,
        )
        self._channels.bytes -= removed.bytes
        self._digest += removed.digest
        return removed.more

    def probe(self) -> None:
        """Write next to nothing: can the log be written? Raises BrokerUnavailableError if not."""
        with self._transaction():
            self._set_meta("probed_ms", str(self._now_ms()))

    def revoke(self, revocation: Revocation) -> None:
        """Commit a revocation. Raises BrokerUnavailableError."""
        with self._transaction():
            self._digest += revocations.put(self._connection, revocation)

    def maintain(self) -> bool:
        """Remove what is too old or over a limit; return whether more is left to remove.

        This always writes, and so finds out whether a log that failed works again. Raises
        BrokerUnavailableError.
        """
        with self._transaction():
            now_ms = self._now_ms()
            more_publications = self._trim_oldest()
            change, more_keys = self._keys.expire(now_ms - self._retention.idempotency_ms)
            self._digest += change + revocations.expire(self._connection, now_ms - OVER_FOR_MS)
            self._forget_channels()
            self._set_meta("maintained_ms", str(now_ms))
        return more_publications or more_keys

    def _forget_channels(self) -> None:
        """Keep their number within its limit.

        Unknown channels get another epoch then: no old position there may seem valid again.
        """
        change = self._channels.forget()
        if change is None:
            return
        epoch = new_epoch()
        self._digest += change + epoch_checksum(epoch) - epoch_checksum(self._epoch)
        self._epoch = epoch
        self._set_meta("epoch", epoch)

    def _set_meta(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Record that the log is complete, fold the write-ahead log into the file, and close it.

        Raises BrokerUnavailableError; the file is closed even so.
        """
        try:
            with self._transaction():
                self._set_meta("closed", str(self._digest & DIGEST_MASK))
        finally:
            self._connection.close()
            self._guard.close()
        try:
            self._file.note_closed(self._committed_digest)
        except OSError as error:
            raise BrokerUnavailableError(f"the log cannot be written: {error}") from error


def _has_not_committed(error: Exception) -> bool:
    """Whether a failed COMMIT is known to have written no whole transaction: no space, no right, no lock."""
    code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.Error) else sqlite3.SQLITE_OK
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY}
