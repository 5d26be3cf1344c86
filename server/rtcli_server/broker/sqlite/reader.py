"""The reading side of the SQLite log: one page, one short snapshot. Blocking, one thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import MAX_PAGE, BrokerUnavailableError, HistoryPage, Retention
from rtcli_server.broker.sqlite.file import StoreFile

# Everything after the first young enough one is shown, whatever its age: after the wall clock was set, ages
# do not fall with rising offsets any more, and leaving the old ones out would make gaps.
_FIRST = """
    SELECT offset FROM publications
    WHERE channel_id = ? AND offset > ? AND time_ms >= ? ORDER BY offset LIMIT 1
"""
_AFTER = """
    SELECT offset, event, data, time_ms FROM publications
    WHERE channel_id = ? AND offset > ? ORDER BY offset LIMIT ?
"""
_LATEST = """
    SELECT offset, event, data, time_ms FROM publications
    WHERE channel_id = ? AND offset > ? ORDER BY offset DESC LIMIT ?
"""


class Reader:
    """Reads pages on a connection of its own, opened when first needed and again after an error."""

    def __init__(self, file: StoreFile, retention: Retention, *, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._retention = retention
        self._now_ms = now_ms
        self._connection: sqlite3.Connection | None = None

    def page(self, channel: str, since: Position | None, limit: int) -> HistoryPage:
        """Read a page as described in `Broker.history`. Raises BrokerUnavailableError."""
        try:
            if self._connection is None:
                self._connection = self._file.connect(read_only=True)
            self._connection.execute("BEGIN")
            page = self._read(self._connection, channel, since, min(limit, MAX_PAGE))
            self._connection.execute("COMMIT")
        except (sqlite3.Error, ValueError) as error:
            self.close()
            raise BrokerUnavailableError(f"the log cannot be read: {error}") from error
        return page

    def _read(
        self, connection: sqlite3.Connection, channel: str, since: Position | None, limit: int
    ) -> HistoryPage:
        query = connection.execute
        found = query("SELECT id, epoch, top FROM channels WHERE name = ?", (channel,)).fetchone()
        if found is None:
            [(epoch,)] = query("SELECT value FROM meta WHERE name = 'epoch'")
            return HistoryPage([], Position(epoch, 0))
        channel_id, epoch, top = found
        position = Position(epoch, top)
        if limit <= 0 or (since is not None and (since.epoch != epoch or since.offset >= top)):
            return HistoryPage([], position)
        oldest_ms = self._now_ms() - self._retention.max_age_ms
        first = query(_FIRST, (channel_id, top - self._retention.max_count, oldest_ms)).fetchone()
        if first is None:
            return HistoryPage([], position)
        after = max(since.offset if since else 0, first[0] - 1)
        rows = query(_AFTER if since else _LATEST, (channel_id, after, limit)).fetchall()
        if since is None:
            rows.reverse()
        return HistoryPage([Publication(channel, epoch, *row) for row in rows], position)

    def close(self) -> None:
        """Close the connection; the next page opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
