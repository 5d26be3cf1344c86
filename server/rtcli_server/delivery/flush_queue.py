"""Channels that have something to write: flushed once per loop turn, large ones in several turns.

`fanout.py` describes the whole; this is the part that writes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.channel import Channel, Flush, FlushSlice, State, Subscription, after, follows
from rtcli_server.delivery.wire import JOIN, Announcement, GapNotice, Item
from rtcli_server.delivery.writing import cut, excluded_from, items_for, write_all, write_items

WRITES_PER_TURN = 500  # 2-3 ms

_log = logging.getLogger(__name__)

OnFlush = Callable[[Sequence[Item], int], None]


class FlushQueue:
    """Writes what is pending in the channels that were added.

    Nothing that a subscriber raises ends it. Whoever has missed something by that is cut, and resumes.

    `call_soon` runs a function in the next loop turn; `make_gap_before(item, since)` makes the notice of what
    is missing between a position and an item; `on_flush(items, writes)` is called when a flush begins.
    """

    def __init__(
        self,
        *,
        call_soon: Callable[[Callable[[], None]], object],
        make_gap_before: Callable[[Publication | GapNotice, Position], GapNotice],
        on_flush: OnFlush | None,
    ) -> None:
        self._call_soon = call_soon
        self._make_gap_before = make_gap_before
        self._on_flush = on_flush
        self._channels: deque[Channel] = deque()
        self._scheduled = False
        self._writing = False
        self._stalled: list[Subscription] = []

    def add(self, channel: Channel) -> None:
        """Flush a channel soon, unless it is queued already."""
        if channel.queued:
            return
        channel.queued = True
        self._channels.append(channel)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._wait)

    def _wait(self) -> None:
        """Let one more turn pass: what other sockets have received by then goes into the same writes."""
        self._call_soon(self._run)

    def _run(self) -> None:
        """Write what is pending, channel by channel, until this turn's writes are used up."""
        budget = WRITES_PER_TURN
        channels = self._channels
        self._writing = True
        try:
            while channels and budget > 0:
                channel = channels.popleft()
                try:
                    written = (
                        self._begin(channel) if channel.flush is None else self._continue(channel, budget)
                    )
                    budget -= 1 + written
                except Exception:  # noqa: BLE001 - whatever it was, the other channels have to be written
                    _log.exception("a flush failed; the subscribers of %s are cut, and resume", channel.name)
                    _give_up(channel)
                if channel.flush is not None or channel.pending:
                    channels.append(channel)  # behind the others: a large room does not hold up small ones
                else:
                    channel.queued = False
            self._writing = False
            self._demote_stalled()
        finally:  # whatever happens, the next turn comes
            self._writing = False
            self._scheduled = bool(channels)
            if channels:
                self._call_soon(self._run)

    def _begin(self, channel: Channel) -> int:
        """Encode what is pending and write it, up to this turn's limit. Return the number of writes made."""
        items, channel.pending = channel.pending, []
        excluded = excluded_from(channel, items) if channel.excludes else set()
        channel.excludes = False
        slices: list[FlushSlice] = []
        written = 0
        for join, group in zip(JOIN, channel.groups, strict=True):
            batch = join(items) if group else None
            if not batch:
                continue
            written += len(group)
            if slices or excluded or len(group) > WRITES_PER_TURN:
                slices.append(FlushSlice(group, batch, excluded))
            else:
                failed = write_all(group.values(), batch)
                if failed:
                    _cut_all([subscription for subscription, write in group.items() if write in failed])
        self._count(items, written)
        left = sum(map(len, slices))
        channel.flush = Flush(slices, channel.last)
        for subscription in excluded:
            write_items(subscription, items_for(subscription, items))
        if channel.fresh:
            self._write_fresh(channel, items)
        return written - left + self._continue(channel, WRITES_PER_TURN)

    def _continue(self, channel: Channel, budget: int) -> int:
        """Write up to `budget` more of a flush. Return the number of writes made."""
        flush = channel.flush
        if flush is None:
            return 0
        left = budget
        while flush.slices and left > 0:
            current = flush.slices[0]
            writes = current.take(left, check=flush.somebody_left)
            left -= len(writes)
            failed = write_all(writes, current.batch)
            if failed:
                _cut_all(current.owners_of(failed))
            if not current:
                del flush.slices[0]
        if not flush.slices:
            channel.flush = None
            channel.flushed = flush.position
        return budget - left

    def _write_fresh(self, channel: Channel, items: Sequence[Item]) -> None:
        """Write to FRESH subscriptions what is beyond their position.

        They become LIVE once nothing that they have can be delivered again.
        """
        fresh, channel.fresh = channel.fresh, []
        for subscription in fresh:
            covered = subscription.position
            write_items(subscription, self._beyond(covered, items_for(subscription, after(items, covered))))
            if channel.epoch == covered.epoch and channel.offset < covered.offset:
                channel.fresh.append(subscription)
                continue
            try:
                subscription.make_live()
            except Exception:  # noqa: BLE001 - it stays what it was, and the others go live
                _log.exception("a subscription cannot go live")
                channel.fresh.append(subscription)
                cut(subscription)

    def _beyond(self, covered: Position, rest: list[Item]) -> list[Item]:
        """`rest`, with a gap before its first publication if that does not follow `covered`."""
        first = next((item for item in rest if not isinstance(item, Announcement)), None)
        if first is not None and not follows(covered, first):
            rest.insert(rest.index(first), self._make_gap_before(first, covered))
            if isinstance(first, GapNotice):
                rest.remove(first)
        return rest

    def _count(self, items: Sequence[Item], writes: int) -> None:
        try:
            if self._on_flush is not None:
                self._on_flush(items, writes)
        except Exception:  # noqa: BLE001 - a count must not cost a delivery
            _log.exception("counting a flush failed")

    # -- slow subscribers ----------------------------------------------------------------------------------

    def stall(self, subscriptions: Iterable[Subscription]) -> None:
        """Make subscriptions LAGGING, at the end of this turn's writes. Allowed within a write."""
        self._stalled += subscriptions
        if not self._writing:
            self._demote_stalled()

    def _demote_stalled(self) -> None:
        """Keep only the position of subscriptions that stalled.

        In the middle of a large flush their position is not known: they get the rest of that batch.
        """
        stalled, self._stalled = self._stalled, []
        for subscription in stalled:
            try:
                self._demote(subscription)
            except Exception:  # noqa: BLE001 - the others have to be looked at, too
                _log.exception("a slow subscription cannot be stopped")
                cut(subscription)

    def _demote(self, subscription: Subscription) -> None:
        if subscription.state not in {State.LIVE, State.FRESH} or not subscription.subscriber.full:
            return  # left, or drained already
        if subscription.channel.flush is not None:
            self._stalled.append(subscription)
            return
        subscription.take_out()
        if subscription.state is State.LIVE:
            subscription.position = subscription.channel.flushed
        subscription.state = State.LAGGING


def _give_up(channel: Channel) -> None:
    """End a flush that failed. It is not known who was written what, so all have to resume."""
    channel.flush = None
    channel.flushed = channel.last
    _cut_all(chain(channel.fresh, *channel.groups))


def _cut_all(subscriptions: Iterable[Subscription]) -> None:
    for subscription in subscriptions:
        cut(subscription)
