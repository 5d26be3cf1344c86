"""The reading side of the SQLite log: one page, one short snapshot. Blocking, one thread.

A page is shown only if it is whole: each row agrees with its checksum, no offset is missing, and the top is
not behind what was acknowledged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker.base import MAX_PAGE, BrokerUnavailableError, HistoryPage, Retention
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.sqlite.damage import DamagedFileError, is_damage
from rtcli_server.broker.sqlite.file import StoreFile
from rtcli_server.broker.sqlite.revocations import read_all
from rtcli_server.broker.sqlite.rows import (
    CHANNEL,
    PUBLICATION,
    ChannelRow,
    channel_row,
    check_epoch,
    check_publication,
)
from rtcli_server.broker.validation import ForeignDataError, check_row

_AFTER = f"""
    SELECT {PUBLICATION} FROM publications
    WHERE channel_id = ? AND offset > ? ORDER BY offset LIMIT ?
"""  # noqa: S608 - constants
_NAMED = f"SELECT {CHANNEL} FROM channels WHERE name IN (%s)"  # noqa: S608 - constants, and `?`


T = TypeVar("T")


class Reader:
    """Reads pages on a connection of its own, opened when first needed and again after an error.

    `stored_top` gives the least top that a channel must have; 0 where that is not known. `foreign` counts
    rows that are whole and that no server wrote.
    """

    def __init__(
        self,
        file: StoreFile,
        retention: Retention,
        foreign: ForeignContent,
        *,
        stored_top: Callable[[str], int],
        now_ms: Callable[[], int],
    ) -> None:
        self._file = file
        self._retention = retention
        self._foreign = foreign
        self._stored_top = stored_top
        self._now_ms = now_ms
        self._connection: sqlite3.Connection | None = None

    def revocations(self) -> list[Revocation]:
        """Read all revocations. Raises BrokerUnavailableError."""
        return self._reading(self._read_revocations)

    def _read_revocations(self) -> list[Revocation]:
        connection = self._open()
        now_ms = self._now_ms()
        return [one for one in read_all(connection) if one.until_ms > now_ms]

    def tops(self, channels: Sequence[str]) -> list[Position | BrokerUnavailableError]:
        """Read the tops of some channels: all in one statement, or one by one when something fails."""
        try:
            return self._tops(channels)
        except (sqlite3.Error, OSError, ValueError):
            self.close()
            return [self._top(channel) for channel in channels]

    def _tops(self, channels: Sequence[str]) -> list[Position | BrokerUnavailableError]:
        connection = self._open()
        before = [self._stored_top(channel) for channel in channels]
        connection.execute("BEGIN")
        rows = connection.execute(_NAMED % ",".join("?" * len(channels)), channels).fetchall()
        unknown = _unknown(connection)
        connection.execute("COMMIT")
        found = {row.name: row for row in map(channel_row, rows)}
        tops = [
            Position(found[name].epoch, found[name].top) if name in found else unknown for name in channels
        ]
        for channel, stored, top in zip(channels, before, tops, strict=True):
            self._check_top(channel, stored, top)
        return list(tops)

    def _top(self, channel: str) -> Position | BrokerUnavailableError:
        try:
            return self.page(channel, None, 0).top
        except BrokerUnavailableError as error:
            return error

    def page(self, channel: str, since: Position | None, limit: int) -> HistoryPage:
        """Read a page as described in `Broker.history`. Raises BrokerUnavailableError."""
        return self._reading(lambda: self._page(channel, since, min(limit, MAX_PAGE)))

    def _reading(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (sqlite3.Error, OSError, ValueError) as error:
            self.close()
            if is_damage(error):
                self._file.report_damage(str(error))
            raise BrokerUnavailableError(f"the log cannot be read: {error}") from error

    def _page(self, channel: str, since: Position | None, limit: int) -> HistoryPage:
        connection = self._open()
        before = self._stored_top(channel)
        connection.execute("BEGIN")
        page = self._read(connection, channel, since, limit)
        connection.execute("COMMIT")
        self._check_top(channel, before, page.top)
        return page

    def _check_top(self, channel: str, stored: int, top: Position) -> None:
        """Raise DamagedFileError for a top behind what was `stored` before it was read."""
        # Again: a channel that was forgotten meanwhile may be gone, or begin at 1.
        if top.offset < min(stored, self._stored_top(channel)):
            raise DamagedFileError(f"{self._file.path} has lost publications")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._file.path.stat().st_ino != self._file.inode:
            raise DamagedFileError(f"{self._file.path} was replaced")
        return self._file.connect(read_only=True)

    def _read(
        self, connection: sqlite3.Connection, name: str, since: Position | None, limit: int
    ) -> HistoryPage:
        found = connection.execute(f"SELECT {CHANNEL} FROM channels WHERE name = ?", (name,)).fetchone()  # noqa: S608 - constants
        if found is None:
            return HistoryPage([], _unknown(connection))
        row = channel_row(found)
        top = Position(row.epoch, row.top)
        if limit <= 0 or (since is not None and (since.epoch != row.epoch or since.offset >= row.top)):
            return HistoryPage([], top)
        first = self._first_shown(connection, row)
        after = max(since.offset if since else row.top - limit, first - 1)
        rows = _read_rows(connection, row, after, min(limit, row.top - after))
        return HistoryPage(self._publications(name, row.epoch, rows), top)

    def _first_shown(self, connection: sqlite3.Connection, row: ChannelRow) -> int:
        """The offset of the first publication that is young enough; top + 1 if none is.

        Everything after it is shown, whatever its age: after the wall clock was set, ages do not fall with
        rising offsets any more, and leaving the old ones out would make gaps.
        """
        first = max(row.first, row.top - self._retention.max_count + 1)
        oldest_ms = self._now_ms() - self._retention.max_age_ms
        while first <= row.top:
            [found] = _read_rows(connection, row, first - 1, 1)
            if found[4] >= oldest_ms:
                break
            first += 1
        return first

    def _publications(self, channel: str, epoch: str, rows: list[tuple[Any, ...]]) -> list[Publication]:
        publications = []
        for offset, event, data, time_ms, exclude in [columns[1:6] for columns in rows]:
            try:
                publication = check_row(
                    channel,
                    epoch=epoch,
                    offset=offset,
                    event=event,
                    data=data,
                    time_ms=time_ms,
                    exclude=exclude,
                )
            except ForeignDataError as error:
                self._foreign.skip(Place.LOG, channel, error)
                continue
            publications.append(publication)
        return publications

    def close(self) -> None:
        """Close the connection; the next page opens another."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _unknown(connection: sqlite3.Connection) -> Position:
    """The top of a channel that is not in the log."""
    epoch = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
    return Position(check_epoch(epoch and epoch[0]), 0)


def _read_rows(
    connection: sqlite3.Connection, row: ChannelRow, after: int, count: int
) -> list[tuple[Any, ...]]:
    """Read the `count` rows of a channel that follow the offset `after`; they must all be there."""
    rows = connection.execute(_AFTER, (row.id, after, count)).fetchall()
    for expected, columns in enumerate(rows, after + 1):
        check_publication(columns)
        if columns[:2] != (row.id, expected):
            raise DamagedFileError(f"publication {expected} of channel {row.id} is gone")
    if len(rows) != count:
        raise DamagedFileError(f"the last publications of channel {row.id} are gone")
    return rows
