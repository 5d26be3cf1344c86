"""Recovery: hold live delivery, read the history, merge, check, go live (protocol.md, section 8).

A subscription is opened first, so that nothing falls between the history and the live publications: what is
delivered while the history is read is held, and comes behind it by position. When the log is ahead of what is
held, the history is read again. One rule for both transports, for joining and for catching up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position, recovery_failure
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.delivery.channel import Channel, State, Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.wire import GapNotice, Item
from rtcli_server.delivery.writing import write_items

PAGE = 100  # publications read at once by a LAGGING subscription
MAX_READS = 8  # of one history, before giving up


class ReadHistory(Protocol):
    """`Broker.history`."""

    def __call__(self, channel: str, *, since: Position | None, limit: int) -> Awaitable[HistoryPage]:
        """Read a page; raises BrokerUnavailableError."""
        ...


class RecoveryRequest(NamedTuple):
    """What a new subscription asks for: what followed `since`, or the newest `limit` when it is None."""

    channel: Channel  # held
    since: Position | None
    limit: int


class RecoveryResult(NamedTuple):
    """What a new subscription is written before it goes live at `top`.

    `failure`: why the publications after its `since` are not available.
    """

    publications: list[Publication]
    top: Position
    failure: GapReason | None


async def read_missed(history: ReadHistory, requests: Sequence[RecoveryRequest]) -> list[RecoveryResult]:
    """Read the history of each channel, and merge what was delivered meanwhile behind it.

    Each result is complete up to its `top`, or empty with the reason; never partial. Nothing else may run
    between the return and `Fanout.go_live(subscription, top)`. Raises BrokerUnavailableError.
    """
    pages: list[HistoryPage | None] = [None] * len(requests)
    merged: list[RecoveryResult | None] = [None] * len(requests)
    for attempt in range(MAX_READS):
        for index, request in enumerate(requests):
            if merged[index] is None:
                pages[index] = await history(request.channel.name, since=request.since, limit=request.limit)
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
    held = _held(request.channel, page.top, again=attempt > 0)
    if held is None:
        return None
    publications = list(page.publications)
    for item in held:
        if isinstance(item, Publication):
            publications.append(item)
        elif request.since is None:
            publications.clear()  # a history has no hole: it is what follows the last gap
    top = held[-1].position if held else page.top
    if request.since is None:
        return RecoveryResult(publications[-request.limit :] if request.limit else [], top, None)
    offsets = [publication.offset for publication in publications]
    failure = recovery_failure(request.since, top, offsets, max_replay=request.limit)
    return RecoveryResult([] if failure else publications, top, failure)


async def catch_up(fanout: Fanout, history: ReadHistory, subscription: Subscription) -> bool:
    """Write to a LAGGING subscription what it missed, page by page, and make it live again.

    Returns False when it has to stop, because the transport is full again or the subscription was closed. A
    gap tells the client what the log does not have any more. Raises BrokerUnavailableError.
    """
    channel = subscription.channel
    at_top = False
    while subscription.state is State.LAGGING and not subscription.subscriber.full:
        channel.hold()
        try:
            page = await history(channel.name, since=subscription.position, limit=PAGE)
            if subscription.state is State.LAGGING:
                at_top = _write_page(fanout, subscription, page, again=at_top)
        finally:
            channel.release()
    return subscription.state in {State.FRESH, State.LIVE}


def _write_page(fanout: Fanout, subscription: Subscription, page: HistoryPage, *, again: bool) -> bool:
    """Write a page, and go live behind the last one. Return whether the subscription reached the log's top.

    `again`: it had reached the top before this page.
    """
    items: list[Item] = list(page.publications)
    since = subscription.position
    first = page.publications[0] if page.publications else None
    if first is not None and (first.epoch != since.epoch or first.offset != since.offset + 1):
        items.insert(0, fanout.make_gap_before(first, since))
    elif first is None and since != page.top:
        items.append(fanout.make_gap(subscription.channel.name, since, page.top))
    last = items[-1] if items else None
    position = since if last is None or not isinstance(last, Publication | GapNotice) else last.position
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
