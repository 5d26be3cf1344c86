"""Resume: hold live, read history, merge, check, go live (protocol.md, section 8).

A member is opened first, so that nothing can fall between the history and the live publications: what is
delivered while the history is read is held, and comes behind it by position. When the log ran ahead of what
is held, the history is read again. One rule for both transports, for joining and for catching up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position, recovery_failure
from rtcli.protocol.publication import Publication
from rtcli_server.broker import BrokerUnavailableError, HistoryPage
from rtcli_server.delivery.channel import Channel, Member, State
from rtcli_server.delivery.fanout import Fanout, write_items
from rtcli_server.delivery.wire import GapNotice, Item

PAGE = 100  # publications read at once by a member that is behind
MAX_READS = 8  # of one history, before giving up


class ReadHistory(Protocol):
    """`Broker.history`."""

    def __call__(self, channel: str, *, since: Position | None, limit: int) -> Awaitable[HistoryPage]:
        """Read a page; raises BrokerUnavailableError."""
        ...


class Want(NamedTuple):
    """What a member that joins asks for: what followed `since`, or the newest `limit` when it is None."""

    channel: Channel  # held
    since: Position | None
    limit: int


class Resumed(NamedTuple):
    """What a joining member is written before it goes live at `top`. `failure`: why it did not recover."""

    publications: list[Publication]
    top: Position
    failure: GapReason | None


async def read_missed(fanout: Fanout, history: ReadHistory, wants: Sequence[Want]) -> list[Resumed]:
    """Read the history of each channel, and merge what was delivered meanwhile behind it.

    Each result is complete up to its `top`, or empty with the reason; never partial. Nothing else may run
    between the return and `Fanout.go_live(member, top)`. Raises BrokerUnavailableError.
    """
    pages: list[HistoryPage | None] = [None] * len(wants)
    merged: list[Resumed | None] = [None] * len(wants)
    for attempt in range(MAX_READS):
        for index, want in enumerate(wants):
            if merged[index] is None:
                pages[index] = await history(want.channel.name, since=want.since, limit=want.limit)
        # All at once, after the last read: the first one may have been overtaken by then.
        merged = [_merge(fanout, *pair, attempt) for pair in zip(wants, pages, strict=True)]
        results = [result for result in merged if result is not None]
        if len(results) == len(wants):
            return results
    raise BrokerUnavailableError("the log runs away from its reader")


def _merge(fanout: Fanout, want: Want, page: HistoryPage | None, attempt: int) -> Resumed | None:
    if page is None:
        return None
    held = _held(fanout, want.channel, page.top, again=attempt > 0)
    if held is None:
        return None
    publications = list(page.publications)
    for item in held:
        if isinstance(item, Publication):
            publications.append(item)
        elif want.since is None:
            publications.clear()  # a history shows what came without a hole: what follows the last gap
    top = _at(held[-1]) if held else page.top
    if want.since is None:
        return Resumed(publications[-want.limit :] if want.limit else [], top, None)
    offsets = [publication.offset for publication in publications]
    failure = recovery_failure(want.since, top, offsets, max_replay=want.limit)
    return Resumed([] if failure else publications, top, failure)


async def catch_up(fanout: Fanout, history: ReadHistory, member: Member) -> bool:
    """Write to a member that is BEHIND what it missed, page by page, and make it live again.

    Returns False when it has to stop, because the transport is full again or the member is gone. What the log
    does not have any more is told by a gap. Raises BrokerUnavailableError.
    """
    at_top = False
    while member.state is State.BEHIND and not member.sink.full:
        fanout.hold(member.channel)
        try:
            page = await history(member.channel.name, since=member.position, limit=PAGE)
            if member.state is State.BEHIND:
                at_top = _write_page(fanout, member, page, again=at_top)
        finally:
            fanout.release(member.channel)
    return member.state in {State.FRESH, State.LIVE}


def _write_page(fanout: Fanout, member: Member, page: HistoryPage, *, again: bool) -> bool:
    """Return whether the member stands at the top of the log; `again`: it stood there before this page."""
    items: list[Item] = list(page.publications)
    since = member.position
    first = page.publications[0] if page.publications else None
    if first is not None and (first.epoch != since.epoch or first.offset != since.offset + 1):
        items.insert(0, fanout.gap_before(first, since))
    elif first is None and since != page.top:
        items.append(fanout.gap(member.channel.name, since, page.top))
    last = items[-1] if items else None
    position = since if last is None or not isinstance(last, Publication | GapNotice) else _at(last)
    at_top = position == page.top
    held = _held(fanout, member.channel, page.top, again=again) if at_top else None
    member.position = _at(held[-1]) if held else position
    write_items(member, [*items, *(held or ())])
    if held is not None and not member.sink.full:
        fanout.go_live(member, member.position)
    return at_top


def _held(
    fanout: Fanout, channel: Channel, top: Position, *, again: bool
) -> Sequence[Publication | GapNotice] | None:
    """What comes behind the top of a page that was just read; None when it has to be read again."""
    held = fanout.held_after(channel, top)
    if held is None and again and top.epoch != channel.epoch:
        return []  # the log began anew, and nothing was delivered from it yet
    return held


def _at(item: Publication | GapNotice) -> Position:
    return Position(item.epoch, item.offset)
