"""The writing side of the SQLite log: turns a batch of publishes into one transaction. Blocking, one thread.

Everything that is kept in memory here (channels, keys, sizes) mirrors committed rows only: after a failed
transaction it is read again.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from rtcli.protocol.position import Position
from rtcli_server.broker.base import BrokerUnavailableError, Published, Retention, new_epoch
from rtcli_server.broker.sqlite.file import StoreFile
from rtcli_server.broker.sqlite.guard import DamagedFileError, FileGuard
from rtcli_server.broker.sqlite.retention import (
    ROW_BYTES,
    ChannelRow,
    IdempotencyTable,
    forget_channels,
    trim_channel,
    trim_oldest,
)

CACHED_CHANNELS = 20_000


class UnwritableError(BrokerUnavailableError):
    """One of the publications can never be written: a lone surrogate, an integer over 64 bits, too long."""


class Append(NamedTuple):
    """One publish that waits to be appended."""

    channel: str
    event: str
    data: bytes
    key: str | None
    time_ms: int


@dataclass(slots=True)
class _Changes:
    """The rows that one transaction will write."""

    rows: list[tuple[int, int, str, bytes, int]] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[Position, int]] = field(default_factory=dict)
    channels: dict[str, ChannelRow] = field(default_factory=dict)


class Writer:
    """Appends batches to the file and trims it. Every method blocks; use from one thread at a time."""

    def __init__(self, file: StoreFile, retention: Retention, *, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._retention = retention
        self._now_ms = now_ms
        self._connection = file.connect(read_only=False)
        self._guard = FileGuard(file)
        self._wrote = (
            False  # whether this process wrote something, which is recorded in the file and beside it
        )
        self._load()

    def _load(self) -> None:
        """Read what is kept in memory. Raises sqlite3.Error."""
        query = self._connection.execute
        self._channels: OrderedDict[str, ChannelRow] = OrderedDict()
        self._keys = IdempotencyTable(self._connection, self._retention, self._now_ms())
        [(self._epoch,)] = query("SELECT value FROM meta WHERE name = 'epoch'")
        [(self._bytes, self._channel_count)] = query("SELECT coalesce(sum(bytes), 0), count(*) FROM channels")
        self._stale = False

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit the block, or raise BrokerUnavailableError with nothing of it in the log."""
        try:
            self._guard.check_file()
            if self._stale:
                self._load()
            # IMMEDIATE: a deferred transaction that turns into a writing one fails at once whatever the
            # timeout (https://sqlite.org/rescode.html#busy_snapshot).
            self._connection.execute("BEGIN IMMEDIATE")
            self._guard.check_wal()
            run = None if self._wrote else self._count_run()
            yield
            self._connection.execute("COMMIT")
            if run is not None:
                self._wrote = True
                self._file.note_run(run)
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            if isinstance(error, DamagedFileError):
                self._file.distrust()
            self._stale = True
            self._roll_back()
            unwritable = isinstance(error, (sqlite3.DataError, ValueError, OverflowError))
            refusal = UnwritableError if unwritable else BrokerUnavailableError
            raise refusal(f"the log cannot be written: {error}") from error

    def _count_run(self) -> int:
        """Record in the file that one more process writes to it, and that its -wal is needed from now on."""
        run = 1 + int(dict(self._connection.execute("SELECT name, value FROM meta")).get("run", "0"))
        self._set_meta("run", str(run))
        self._set_meta("in_wal", "1")
        return run

    def _roll_back(self) -> None:
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()
            self._connection = self._file.connect(read_only=False)
            self._guard.reconnected()

    def append(self, batch: list[Append]) -> list[Published]:
        """Commit a batch, in its order, as one transaction.

        Raises BrokerUnavailableError: then nothing of it is in the log. Of these, UnwritableError means that
        the rest of the batch can be written.
        """
        with self._transaction():
            changes = _Changes()
            published = [self._place(append, changes) for append in batch]
            self._write(changes)
        for (channel, key), (position, _) in changes.keys.items():
            self._keys.memory.remember(channel, key, position)
        return published

    def _place(self, append: Append, changes: _Changes) -> Published:
        """Give a publish its position, or that of the first one with its key."""
        channel, event, data, key, time_ms = append
        if key is not None:
            earlier = changes.keys.get((channel, key))
            first = earlier[0] if earlier else self._keys.memory.find(channel, key)
            if first is not None:
                return Published(first, duplicate=True)
        row = changes.channels.get(channel)
        if row is None:
            row = changes.channels[channel] = self._channel(channel)
        row.top += 1
        row.used_ms = time_ms
        row.bytes += len(data) + ROW_BYTES
        self._bytes += len(data) + ROW_BYTES
        position = Position(row.epoch, row.top)
        changes.rows.append((row.id, row.top, event, data, time_ms))
        if key is not None:
            changes.keys[channel, key] = (position, time_ms)
        return Published(position, duplicate=False)

    def _channel(self, name: str) -> ChannelRow:
        row = self._channels.get(name)
        if row is not None:
            self._channels.move_to_end(name)
            return row
        row = self._channels[name] = self._find_channel(name) or self._create_channel(name)
        if len(self._channels) > CACHED_CHANNELS:
            self._channels.popitem(last=False)
        return row

    def _find_channel(self, name: str) -> ChannelRow | None:
        values = self._connection.execute(
            "SELECT id, epoch, top, first, bytes, used_ms FROM channels WHERE name = ?", (name,)
        ).fetchone()
        return ChannelRow(*values) if values else None

    def _create_channel(self, name: str) -> ChannelRow:
        row = ChannelRow(id=0, epoch=self._epoch, top=0, first=1, bytes=0, used_ms=0)
        cursor = self._connection.execute(
            "INSERT INTO channels (name, epoch, top, first, bytes, used_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (name, row.epoch, row.top, row.first, row.bytes, row.used_ms),
        )
        row.id = cursor.lastrowid or 0
        self._channel_count += 1
        return row

    def _write(self, changes: _Changes) -> None:
        self._connection.executemany(
            "INSERT INTO publications (channel_id, offset, event, data, time_ms) VALUES (?, ?, ?, ?, ?)",
            changes.rows,
        )
        rows = changes.channels.values()
        for row in rows:
            self._bytes -= trim_channel(self._connection, row, self._retention)
        self._connection.executemany(
            "UPDATE channels SET top = ?, first = ?, bytes = ?, used_ms = ? WHERE id = ?",
            [(row.top, row.first, row.bytes, row.used_ms, row.id) for row in rows],
        )
        self._keys.insert(
            self._connection,
            [(*pair, *position, time_ms) for pair, (position, time_ms) in changes.keys.items()],
        )
        if self._bytes > self._retention.max_total_bytes:
            self._trim_oldest()

    def _trim_oldest(self) -> bool:
        budget = self._retention.max_total_bytes
        removed = trim_oldest(
            self._connection,
            # A little more than needed, so that not every publish has to do this.
            spare=self._bytes - budget * 15 // 16 if self._bytes > budget else 0,
            before_ms=self._now_ms() - self._retention.max_age_ms,
        )
        if removed.bytes:
            self._bytes -= removed.bytes
            self._channels.clear()
        return removed.more

    def maintain(self) -> bool:
        """Remove what is too old or over a limit; return whether more is left to remove.

        This always writes, and so finds out whether a log that failed works again. Raises
        BrokerUnavailableError.
        """
        with self._transaction():
            now_ms = self._now_ms()
            more = self._trim_oldest()
            more |= self._keys.expire(self._connection, now_ms - self._retention.idempotency_ms)
            if forget_channels(self._connection, self._channel_count):
                self._start_epoch()
            self._set_meta("maintained_ms", str(now_ms))
        return more

    def _start_epoch(self) -> None:
        """Give unknown channels another epoch from now on: no old position there may seem valid again."""
        self._epoch = new_epoch()
        self._set_meta("epoch", self._epoch)
        self._channels.clear()
        [(self._channel_count,)] = self._connection.execute("SELECT count(*) FROM channels")

    def _set_meta(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Record that everything is in the file, fold the write-ahead log into it, and close it."""
        try:
            with self._transaction():
                self._set_meta("clean", "1")
                self._set_meta("in_wal", "0")
        finally:
            self._connection.close()
            self._guard.close()
