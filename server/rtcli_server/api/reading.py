"""Reading the log over HTTP, page by page. No web framework here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

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
from rtcli_server.broker import Broker, BrokerUnavailableError, HistoryPage
from rtcli_server.problems import ProblemError

_decode = msgspec.json.Decoder().decode


class Page(NamedTuple):
    """Messages with their positions. The next page begins after `next`; `reason` is that of section 8."""

    messages: list[dict[str, Any]]
    top: Position
    next: Position
    reason: GapReason | None


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


async def read_page(
    broker: Broker, room: str, *, since: Position | None, limit: int, timeout_s: float
) -> Page:
    """Read the newest `limit` messages of a room, or those after `since`. Raises ProblemError (503)."""
    try:
        async with asyncio.timeout(timeout_s):
            page = await broker.history(ROOM_PREFIX + room, since=since, limit=limit)
    except (TimeoutError, BrokerUnavailableError):
        raise ProblemError(503, retry_after_ms=UNAVAILABLE_RETRY_MS) from None
    messages = [
        {**_decode(publication.data), "offset": publication.offset, "epoch": publication.epoch}
        for publication in page.publications
    ]
    return Page(messages, page.top, _next(page, since), _reason(page, since))


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
