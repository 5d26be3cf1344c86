"""The idempotency keys in the file: a bounded table, for the time after a restart."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from rtcli.protocol.position import Position
from rtcli_server.broker.base import Retention
from rtcli_server.broker.idempotency import IdempotencyKeys
from rtcli_server.broker.sqlite.rows import KEY, check_key

KeyRow = tuple[str, str, str, int, int, int]  # what `KEY` selects

STEP_ROWS = 1_000  # how many keys may be too many, and how many one step of `expire` looks at


class IdempotencyTable:
    """The rows, oldest first: ids from `_first` to `_last` are in use. `memory` answers which keys are known.

    Everything runs inside the caller's transaction, and returns by how much the digest changes. After a
    transaction that failed, a new table is made. The wall clock gives the age of the keys that are read from
    the file, which an earlier process wrote.
    """

    def __init__(self, connection: sqlite3.Connection, retention: Retention, now_ms: int) -> None:
        """Read the keys. Raises sqlite3.Error and DamagedFileError."""
        self._connection = connection
        self._max_keys = retention.max_keys
        self.memory = IdempotencyKeys(retention.idempotency_ms, retention.max_keys)
        for values in connection.execute(f"SELECT {KEY} FROM keys ORDER BY id"):  # noqa: S608 - constants
            check_key(values)
            channel, key, epoch, offset, time_ms, _ = values
            age_ms = max(0, now_ms - time_ms)
            self.memory.remember((channel, key), Position(epoch, offset), age_ms=age_ms)
        # Ids go on where they were, also when no row is left (https://sqlite.org/autoinc.html).
        last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'keys'").fetchone()
        first = connection.execute("SELECT min(id) FROM keys").fetchone()
        self._last: int = last[0] if last else 0
        self._first: int = first[0] or self._last + 1

    def insert(self, rows: Collection[KeyRow]) -> int:
        """Write rows, and remove those over the limit."""
        self._connection.executemany(f"INSERT INTO keys ({KEY}) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - constants
        self._last += len(rows)
        change = sum(row[5] for row in rows)
        too_many = self._last - self._first + 1 - self._max_keys
        if too_many > STEP_ROWS:
            # More than one commit adds, so that the table gets down to a limit that was lowered.
            change += self._remove(self._first + min(too_many, 4 * STEP_ROWS))
        return change

    def expire(self, before_ms: int) -> tuple[int, bool]:
        """Remove some keys from before `before_ms` or over the limit.

        Returns by how much the digest changes, and whether there may be more.
        """
        step = self._connection.execute(
            "SELECT id, time_ms FROM keys ORDER BY id LIMIT ?", (STEP_ROWS,)
        ).fetchall()
        spare_until = self._last - self._max_keys
        old = [number for number, time_ms in step if time_ms < before_ms or number <= spare_until]
        change = self._remove(old[-1] + 1) if old else 0
        return change, len(old) == STEP_ROWS

    def _remove(self, until: int) -> int:
        gone = self._connection.execute("DELETE FROM keys WHERE id < ? RETURNING checksum", (until,))
        self._first = until
        freed: int = sum(checksum for (checksum,) in gone.fetchall())
        return -freed
