"""Reading the log over HTTP, page by page. No web framework here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, ErrorCode, GapReason
from rtcli.protocol.position import (
    MAX_OFFSET,
    ROOM_PREFIX,
    InvalidPositionError,
    Position,
    parse_position,
    recovery_failure,
)
from rtcli.protocol.publication import Publication
from rtcli_server.api.models import MessageOut
from rtcli_server.broker import Broker, BrokerUnavailableError, HistoryPage
from rtcli_server.broker.paging import PAGE, first_piece, read_first
from rtcli_server.problems import ProblemError

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def parse_since(text: str | None) -> Position | None:
    """Read a position. Raises ProblemError (400)."""
    if text is None:
        return None
    try:
        return parse_position(text)
    except InvalidPositionError:
        detail = "since must be a position, like k3f9-42"
        raise ProblemError(400, ErrorCode.INVALID_MESSAGE, detail) from None


@asynccontextmanager
async def shared_store(detail: str | None = None) -> AsyncIterator[None]:
    """Raise ProblemError (503) when the store that all instances share does not answer within the block."""
    try:
        yield
    except BrokerUnavailableError:
        raise ProblemError(503, detail=detail, retry_after_ms=UNAVAILABLE_RETRY_MS) from None


class PageReader:
    """Reads a page of a room's messages in pieces, so that a long page is never in memory as a whole.

    The page ends early when the log does not have the next piece any more, or is not available: the client
    goes on at the page's `next`, and is told there what is missing. What excludes `user_id` is a position
    alone.
    """

    def __init__(
        self,
        broker: Broker,
        room: str,
        user_id: str,
        *,
        since: Position | None,
        limit: int,
        timeout_s: float,
    ) -> None:
        self._broker = broker
        self._room = room
        self._user_id = user_id
        self._skipped: list[str] = []  # positions of what is not for this user
        self._since = since
        self._limit = limit
        self._timeout_s = timeout_s

    async def read_first(self) -> HistoryPage:
        """Read the first piece, and the end of the log. Raises ProblemError (503)."""
        channel, since, limit = ROOM_PREFIX + self._room, self._since, self._limit
        try:
            async with asyncio.timeout(self._timeout_s):
                return await read_first(self._broker.history, channel, since=since, limit=limit)
        except (TimeoutError, BrokerUnavailableError):
            raise ProblemError(503, retry_after_ms=UNAVAILABLE_RETRY_MS) from None

    async def body(self, first: HistoryPage, *, spelling: str) -> AsyncIterator[bytes]:
        """The answer (`PageOut`) that begins with the piece `first`; its `room` is `spelling`."""
        position, left = _next(first, self._since), self._limit - len(first.publications)
        shown = self._shown(first.publications)
        piece, separator = b'{"room":%b,"messages":[%b' % (_encode(spelling), shown), b"," if shown else b""
        wanted = min(left, first.top.offset - position.offset) if first.publications else 0
        while wanted > 0 and (publications := await self._read_after(position, wanted)):
            if shown := self._shown(publications):
                yield piece
                piece, separator = separator + shown, b","
            position = publications[-1].position
            wanted -= len(publications)
        yield piece + b"]," + self._end(first, position)

    async def _read_after(self, position: Position, limit: int) -> list[Publication]:
        """Read a piece that follows `position` without a hole; nothing when that is not possible."""
        channel = ROOM_PREFIX + self._room
        try:
            async with asyncio.timeout(self._timeout_s):
                page = await self._broker.history(channel, since=position, limit=min(limit, PAGE))
        except (TimeoutError, BrokerUnavailableError):
            return []
        piece = first_piece(page.publications)
        expected = Position(position.epoch, position.offset + 1)
        return piece if piece and piece[0].position == expected else []

    def _shown(self, publications: Sequence[Publication]) -> bytes:
        """The messages for this user, with commas between them."""
        messages: list[bytes] = []
        for publication in publications:
            if publication.exclude is not None and publication.exclude.covers(self._user_id):
                self._skipped.append(str(publication.position))
            else:
                messages.append(_message(publication))
        return b",".join(messages)

    def _end(self, first: HistoryPage, position: Position) -> bytes:
        reason = _reason(first, self._since)
        return _encode(
            {
                "skipped": self._skipped,
                "top": str(first.top),
                "next": str(position),
                "more": position.offset < first.top.offset,
                "recovered": None if self._since is None else reason is None,
                "reason": reason,
            }
        )[1:]


def _message(publication: Publication) -> bytes:
    message = _decode(publication.data) | {"offset": publication.offset, "epoch": publication.epoch}
    return _encode(MessageOut.model_validate(message).model_dump())


def _next(page: HistoryPage, since: Position | None) -> Position:
    """The end of the page; for an empty page, `since` where the log has that position, else the top."""
    if page.publications:
        return page.publications[-1].position
    if since is None or since.epoch != page.top.epoch or since.offset > page.top.offset:
        return page.top
    return since


def _reason(page: HistoryPage, since: Position | None) -> GapReason | None:
    """Why something is missing between `since` and the first message of the page, or the top without any."""
    if since is None:
        return None
    first = page.publications[:1]
    reached = first[0].position if first else page.top
    # A page has no limit for what was missed, so there is no TOO_MANY.
    return recovery_failure(since, reached, [found.offset for found in first], max_replay=MAX_OFFSET)
