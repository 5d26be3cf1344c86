"""The table of channels, of which the writer keeps the rows in memory as far as there is room for them.

Everything runs inside the caller's transaction. After one that failed, a new table is made, with the same
names.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable

from rtcli_server.broker.sqlite.damage import DamagedFileError
from rtcli_server.broker.sqlite.rows import CHANNEL, ChannelRow, channel_checksum, channel_row

CACHED_CHANNELS = 20_000
MAX_CHANNELS = 1_000_000  # over that, the least recently used empty ones are removed


class ChannelNames:
    """Which channels are in the file, as of the latest commit: the hashes of their names, 80 bytes for each.

    A damaged page of the index may hide a channel. It must not seem new then: its offsets would be given to
    other publications, in the same epoch. Two names of a million share a hash once in 30 million runs; the
    second one is then taken for damage.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read them from the table itself. Raises sqlite3.Error."""
        self._hashes = {hash(name) for (name,) in connection.execute("SELECT name FROM channels NOT INDEXED")}
        self._added: list[int] = []
        self._removed: list[int] = []

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, name: str) -> bool:
        """May be called on any thread: true only for one that a reader must find."""
        return hash(name) in self._hashes

    def add(self, name: str) -> None:
        """Add a name once the transaction under way is committed."""
        self._added.append(hash(name))

    def remove(self, names: Iterable[str]) -> None:
        """Remove names now, before a reader can miss them."""
        self._removed = [hash(name) for name in names]
        self._hashes.difference_update(self._removed)

    def committed(self) -> None:
        """Note that the transaction was committed."""
        self._hashes.update(self._added)
        self._added, self._removed = [], []

    def rolled_back(self) -> None:
        """Note that it was not."""
        self._hashes.update(self._removed)
        self._added, self._removed = [], []


class ChannelTable:
    """Finds, creates and updates rows. `bytes`: the sum over all channels."""

    def __init__(self, connection: sqlite3.Connection, names: ChannelNames) -> None:
        """Read what is kept in memory. Raises sqlite3.Error and DamagedFileError."""
        self._query = connection.execute
        self._connection = connection
        latest = self._query(f"SELECT {CHANNEL} FROM channels ORDER BY id DESC LIMIT {CACHED_CHANNELS}")  # noqa: S608 - constants
        rows = [channel_row(values) for values in latest]
        self._rows = OrderedDict((row.name, row) for row in reversed(rows))
        [(self.bytes,)] = self._query("SELECT coalesce(sum(bytes), 0) FROM channels")
        self._names = names

    def stored_top(self, name: str) -> int:
        """The least top that a reader must find; 0 where that is not known. May be called on any thread."""
        row = self._rows.get(name)
        if row is None:
            return 1 if name in self._names else 0
        return row.stored_top

    def get(self, name: str, epoch: str) -> ChannelRow:
        """Find a channel, or create it with this epoch: then it has to be written with `write`."""
        row = self._rows.get(name)
        if row is not None:
            self._rows.move_to_end(name)
            return row
        row = self._rows[name] = self._find(name) or self._create(name, epoch)
        if len(self._rows) > CACHED_CHANNELS:
            self._rows.popitem(last=False)
        return row

    def _find(self, name: str) -> ChannelRow | None:
        if name not in self._names:
            return None
        values = self._query(f"SELECT {CHANNEL} FROM channels WHERE name = ?", (name,)).fetchone()  # noqa: S608 - constants
        if values is None:
            raise DamagedFileError("a channel is gone from the index")
        return channel_row(values)

    def _create(self, name: str, epoch: str) -> ChannelRow:
        cursor = self._query(
            "INSERT INTO channels (name, epoch, top, first, bytes, used_ms) VALUES (?, ?, 0, 1, 0, 0)",
            (name, epoch),
        )
        self._names.add(name)
        return ChannelRow(cursor.lastrowid or 0, name, epoch, top=0, first=1, bytes=0, used_ms=0)

    def write(self, rows: Iterable[ChannelRow]) -> int:
        """Write changed rows; return by how much the digest changes."""
        change = 0
        values = []
        for row in rows:
            checksum = channel_checksum(
                row.id, row.name, row.epoch, row.top, row.first, row.bytes, row.used_ms
            )
            change += checksum - row.checksum
            row.checksum = checksum
            values.append((row.top, row.first, row.bytes, row.used_ms, checksum, row.id))
        self._connection.executemany(
            "UPDATE channels SET top = ?, first = ?, bytes = ?, used_ms = ?, checksum = ? WHERE id = ?",
            values,
        )
        return change

    def by_id(self, number: int) -> ChannelRow:
        """The row of a channel that has publications."""
        values = self._query(f"SELECT {CHANNEL} FROM channels WHERE id = ?", (number,)).fetchone()  # noqa: S608 - constants
        if values is None:
            raise DamagedFileError(f"channel {number} is gone")
        row = channel_row(values)
        return self._rows.get(row.name, row)

    def forget(self) -> int | None:
        """Remove some of the empty channels if there are too many; return by how much the digest changes.

        The least recently used ones go first. None: there are not too many.
        """
        if len(self._names) <= MAX_CHANNELS:
            return None
        gone = self._query(
            "DELETE FROM channels WHERE id IN (SELECT id FROM channels WHERE first > top"
            " ORDER BY used_ms LIMIT ?) RETURNING name, checksum",
            (MAX_CHANNELS // 10,),
        ).fetchall()
        for name, _ in gone:
            self._rows.pop(name, None)
        self._names.remove(name for name, _ in gone)
        freed: int = sum(checksum for _, checksum in gone)
        return -freed
