"""Reading the log over HTTP, page by page; no web framework here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, ErrorCode, GapReason
from rtcli.protocol.position import ROOM_PREFIX, InvalidPositionError, Position, parse_position
from rtcli_server.broker import Broker, BrokerUnavailableError, HistoryPage
from rtcli_server.problems import ProblemError

_decode = msgspec.json.Decoder().decode


class Page(NamedTuple):
    """Messages with their positions; `next` is where the following page begins; `reason` as in section 8."""

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
async def asking(detail: str | None = None) -> AsyncIterator[None]:
    """Ask what other instances know; raises ProblemError (503) when the store does not answer."""
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
    """Where to go on: after the last of the page; without any, where the caller stands, if that exists."""
    if page.publications:
        return page.publications[-1].position
    if since is None or since.epoch != page.top.epoch or since.offset > page.top.offset:
        return page.top
    return since


def _reason(page: HistoryPage, since: Position | None) -> GapReason | None:
    if since is None or since == page.top:
        return None
    if since.epoch != page.top.epoch:
        return GapReason.EPOCH_CHANGED
    if since.offset > page.top.offset:
        return GapReason.FUTURE
    first = page.publications[0].offset if page.publications else None
    return None if first == since.offset + 1 else GapReason.TRIMMED
