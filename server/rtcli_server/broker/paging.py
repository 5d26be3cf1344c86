"""Reading a log in pieces of a bounded size: for replays, and for answers over HTTP.

What is read is only as much as can be written now; the rest stays in the log until there is room for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import HistoryPage

PAGE = 100  # publications read at once
PIECE_BYTES = 65_536  # of publications, written at once; a larger publication is a piece by itself


class ReadHistory(Protocol):
    """`Broker.history`."""

    def __call__(self, channel: str, *, since: Position | None, limit: int) -> Awaitable[HistoryPage]:
        """Read a page; raises BrokerUnavailableError."""
        ...


def first_piece(publications: Sequence[Publication], piece_bytes: int = PIECE_BYTES) -> list[Publication]:
    """As many of the first publications as one piece holds, but at least one."""
    size = 0
    for index, publication in enumerate(publications):
        size += publication.content_bytes
        if size > piece_bytes and index:
            return list(publications[:index])
    return list(publications)


async def read_first(
    history: ReadHistory,
    channel: str,
    *,
    since: Position | None,
    limit: int,
    piece_bytes: int = PIECE_BYTES,
) -> HistoryPage:
    """Read the first piece of what follows `since`, or of the newest `limit` publications; and the log's top.

    Raises BrokerUnavailableError.
    """
    page = await history(channel, since=since, limit=min(limit, PAGE if piece_bytes > 0 else 1))
    if since is None and limit > PAGE:
        page = await _read_earlier(history, channel, limit, page)
    return HistoryPage(first_piece(page.publications, piece_bytes), page.top)


async def _read_earlier(history: ReadHistory, channel: str, limit: int, newest: HistoryPage) -> HistoryPage:
    """Read the first of the newest `limit` publications, where they are more than the page `newest`."""
    since = Position(newest.top.epoch, max(0, newest.top.offset - limit))
    if not newest.publications or since.offset >= newest.publications[0].offset - 1:
        return newest
    found, top = await history(channel, since=since, limit=PAGE)
    found = [publication for publication in found if publication.offset > top.offset - limit]
    return HistoryPage(found, top) if found else newest
