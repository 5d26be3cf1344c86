"""Recovery: hold live delivery, read the history, merge, check, go live (protocol.md, section 8).

A subscription is opened first, so that nothing falls between the history and the live publications: what is
delivered while the history is read is held, and comes behind it by position. When the log is ahead of what is
held, the history is read again. One rule for both transports, for joining and for catching up.

A long replay is neither read nor written at once. Its first piece tells how much follows; the others are read
from the log, each when the transport has room for it, as for a slow subscriber. So what a client is owed
waits in the log, and costs a position until it reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position, recovery_failure
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.broker.paging import PAGE, PIECE_BYTES, ReadHistory, first_piece, read_first
from rtcli_server.delivery.channel import Channel, State, Subscription, follows
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.wire import GapNotice, Item
from rtcli_server.delivery.writing import write_items

MAX_READS = 8  # of one history, before giving up


class RecoveryRequest(NamedTuple):
    """What a new subscription asks for: what followed `since`, or the newest `limit` when it is None."""

    channel: Channel  # held
    since: Position | None
    limit: int


class RecoveryResult(NamedTuple):
    """What a new subscription is written before it goes live at `top`.

    `publications` are the first of `total`; the others are still in the log. `failure`: why the publications
    after its `since` are not available.
    """

    publications: list[Publication]
    total: int
    top: Position
    failure: GapReason | None


async def read_missed(
    history: ReadHistory, requests: Sequence[RecoveryRequest], *, piece_bytes: int = PIECE_BYTES
) -> list[RecoveryResult]:
    """Read the history of each channel, and merge what was delivered meanwhile behind it.

    Each result tells all that follows up to its `top`, or has the reason; never partial. Nothing else may run
    between the return and `begin(subscription, result)`. Raises BrokerUnavailableError.
    """
    pages: list[HistoryPage | None] = [None] * len(requests)
    merged: list[RecoveryResult | None] = [None] * len(requests)
    for attempt in range(MAX_READS):
        room = piece_bytes  # for all channels together
        for index, request in enumerate(requests):
            if merged[index] is None:
                channel, since, limit = request
                pages[index] = page = await read_first(
                    history, channel.name, since=since, limit=limit, piece_bytes=room
                )
                room -= sum(publication.content_bytes for publication in page.publications)
        # Merge all of them after the last read: while it ran, more may have been delivered to the others.
        merged = [_merge(*pair, attempt) for pair in zip(requests, pages, strict=True)]
        results = [result for result in merged if result is not None]
        if len(results) == len(requests):
            return results
    raise BrokerUnavailableError("the log grows faster than it can be read")


def _merge(request: RecoveryRequest, page: HistoryPage | None, attempt: int) -> RecoveryResult | None:
    """Append what is held to a page; None when the page has to be read again."""
    if page is None:
        return None
    first, top = page
    if first and first[-1].position != top:
        return _begin_of_many(request, first, top)
    held = _held(request.channel, top, again=attempt > 0)
    if held is None:
        return None
    publications = list(first)
    for item in held:
        if isinstance(item, Publication):
            publications.append(item)
        elif request.since is None:
            publications.clear()  # a history has no hole: it is what follows the last gap
    top = held[-1].position if held else top
    if request.since is None:
        publications = publications[-request.limit :] if request.limit else []
        return RecoveryResult(publications, len(publications), top, None)
    offsets = [publication.offset for publication in publications]
    failure = recovery_failure(request.since, top, offsets, max_replay=request.limit)
    return _result([] if failure else publications, top, failure)


def _begin_of_many(request: RecoveryRequest, first: list[Publication], top: Position) -> RecoveryResult:
    """The result of a page that does not reach the top: what is held is in the log too, and comes with it."""
    since, failure = request.since, None
    if since is not None:
        offsets = [publication.offset for publication in first]
        missed = top.offset - since.offset
        too_many = since.epoch == top.epoch and missed > request.limit
        failure = (
            GapReason.TOO_MANY
            if too_many
            else recovery_failure(since, first[-1].position, offsets, max_replay=request.limit)
        )
    return _result([] if failure else first, top, failure)


def _result(publications: list[Publication], top: Position, failure: GapReason | None) -> RecoveryResult:
    count = top.offset - publications[0].offset + 1 if publications else 0
    return RecoveryResult(publications, count, top, failure)


def begin(fanout: Fanout, subscription: Subscription, result: RecoveryResult) -> None:
    """Write the first piece of a recovery, and go live, or leave the rest of it to `catch_up`."""
    publications = result.publications
    if not publications:
        fanout.go_live(subscription, result.top)
    elif subscription.subscriber.busy:
        first = publications[0]
        subscription.replay_from(Position(first.epoch, first.offset - 1))
    else:
        write_items(subscription, publications)
        if publications[-1].position == result.top:
            fanout.go_live(subscription, result.top)
        else:
            subscription.replay_from(publications[-1].position)


async def catch_up(
    fanout: Fanout, history: ReadHistory, subscription: Subscription, *, piece_bytes: int = PIECE_BYTES
) -> bool:
    """Write to a LAGGING subscription what it missed, piece by piece, and make it live again.

    Returns False when it has to stop, because the transport has no room or the subscription was closed. A
    gap tells the client what the log does not have any more. Raises BrokerUnavailableError.
    """
    channel = subscription.channel
    at_top = False
    limit = PAGE
    while subscription.state is State.LAGGING and not subscription.subscriber.busy:
        channel.hold()
        try:
            found, top = await history(channel.name, since=subscription.position, limit=limit)
            if subscription.state is State.LAGGING:
                piece = first_piece(found, piece_bytes)
                # Of large publications no more are read than are written: the rest would be read again.
                limit = len(piece) if len(piece) < len(found) else min(PAGE, 2 * limit)
                at_top = _write_page(fanout, subscription, HistoryPage(piece, top), again=at_top)
        finally:
            channel.release()
        if subscription.state is State.LAGGING:
            await asyncio.sleep(0)  # the transport writes, and everyone else has their turn
    return subscription.state in {State.FRESH, State.LIVE}


def _write_page(fanout: Fanout, subscription: Subscription, page: HistoryPage, *, again: bool) -> bool:
    """Write a page, and go live behind the last one. Return whether the subscription reached the log's top.

    `again`: it had reached the top before this page.
    """
    since = subscription.position
    items: list[Item] = []
    position = since
    for publication in page.publications:
        if not follows(position, publication):
            items.append(fanout.make_gap_before(publication, position))
        items.append(publication)
        position = publication.position
    if not page.publications and since != page.top:
        # A log that began anew has publications of its own: they are read next.
        position = page.top if since.epoch == page.top.epoch else Position(page.top.epoch, 0)
        items.append(fanout.make_gap(subscription.channel.name, since, position))
    at_top = position == page.top
    held = _held(subscription.channel, page.top, again=again) if at_top else None
    subscription.position = held[-1].position if held else position
    write_items(subscription, [*items, *(held or ())])
    if held is not None and not subscription.subscriber.full:
        fanout.go_live(subscription, subscription.position)
    return at_top


def _held(channel: Channel, top: Position, *, again: bool) -> Sequence[Publication | GapNotice] | None:
    """What comes behind the top of a page that was just read; None when it has to be read again."""
    held = channel.held_after(top)
    if held is None and again and top.epoch != channel.epoch:
        return []  # the log began anew, and nothing was delivered from it yet
    return held
