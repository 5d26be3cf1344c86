"""Delivers publications to the subscriptions of their channel: encoded once, joined per loop turn.

`deliver` only puts a publication into its channel's `pending` list. Once per loop turn the flush queue takes
what is pending, encodes it once per wire format and writes the same joined bytes to every subscriber's
socket. There is no task, queue or timer per subscription. A channel with more subscriptions than one turn may
write goes on in the next turn, in the same order for everyone; what is delivered meanwhile waits and is
joined.

What a subscription was written is always a prefix of its channel's order. It is in one of these states:

    RECOVERING  the history is being read; `Channel.held` keeps what is delivered meanwhile
    FRESH       live, but `position` may be ahead of what is still to be delivered: compared at each flush
    LIVE        gets whole batches; what it was written is the channel's `flushed`
    LAGGING     its transport holds too much: nothing is written, `position` is all that is kept of it. A
                replay that is longer than one piece begins in this state
    LEFT        gets nothing any more

So a subscription never sees what its recovery already covered, and a slow one costs a number per channel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.channel import Channel, State, Subscriber, Subscription, after
from rtcli_server.delivery.flush_queue import FlushQueue, OnFlush
from rtcli_server.delivery.wire import Announcement, GapNotice
from rtcli_server.delivery.writing import cut, items_for, write_items

_log = logging.getLogger(__name__)


class Fanout:
    """All channels with subscriptions on this instance.

    `subscribe` and `unsubscribe` tell the log which channels are followed here; `call_soon` runs a function
    in the next loop turn; `timestamp` returns the time as messages carry it; `on_flush(items, writes)`
    is called when a flush begins.
    """

    def __init__(
        self,
        *,
        subscribe: Callable[[str], None],
        unsubscribe: Callable[[str], None],
        call_soon: Callable[[Callable[[], None]], object],
        timestamp: Callable[[], str],
        on_flush: OnFlush | None = None,
    ) -> None:
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._timestamp = timestamp
        self.gaps = 0  # number of gaps made since the start
        self._channels: dict[str, Channel] = {}
        self._queue = FlushQueue(call_soon=call_soon, make_gap_before=self.make_gap_before, on_flush=on_flush)
        self._enqueue = self._queue.add

    # -- subscriptions -------------------------------------------------------------------------------------

    def open(self, name: str, subscriber: Subscriber) -> Subscription:
        """Subscribe to a channel. The channel holds all that is delivered until its `release` is called."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name)
            self._subscribe(name)
        channel.subscription_count += 1
        channel.hold()
        return Subscription(channel, subscriber)

    def go_live(self, subscription: Subscription, position: Position) -> None:
        """Begin live delivery: everything up to `position` was written to the subscription."""
        channel = subscription.channel
        if not channel.epoch:
            channel.move_to(position)
            channel.flushed = position
        elif channel.epoch != position.epoch:
            self._add_gap(channel, position)  # the log began anew; nothing was delivered from it yet
            self._enqueue(channel)
        subscription.position = position
        if position == channel.flushed and not channel.queued:
            subscription.make_live()
        else:
            subscription.state = State.FRESH
            channel.fresh.append(subscription)

    def write_pending(self, subscription: Subscription) -> None:
        """Write what is still pending to a subscription that is about to leave.

        Its own message may have been acknowledged in this very turn; by then its delivery is promised.
        """
        channel = subscription.channel
        items = channel.pending
        if subscription.state is State.FRESH:
            items = list(after(items, subscription.position))
        elif subscription.state is not State.LIVE:
            return
        elif channel.flush is not None:
            try:
                channel.flush.finish(subscription)
            except Exception:  # noqa: BLE001 - it leaves all the same
                _log.exception("a write failed")
                cut(subscription)
                return
        write_items(subscription, items_for(subscription, items))

    def close(self, subscription: Subscription) -> None:
        """End a subscription; nothing is written to it after this. A hold has to be released separately."""
        channel = subscription.channel
        if subscription.state is State.LEFT:
            return
        subscription.take_out()
        subscription.state = State.LEFT
        channel.subscription_count -= 1
        if channel.flush is not None:
            channel.flush.somebody_left = True
        if not channel.subscription_count:
            del self._channels[channel.name]
            self._unsubscribe(channel.name)

    def stall(self, subscriptions: Iterable[Subscription]) -> None:
        """Stop writing to a slow subscriber: its transport holds more than the budget.

        Allowed within a write. `recovery.catch_up` makes the subscriptions live again.
        """
        self._queue.stall(subscriptions)

    def subscription_count(self, name: str) -> int:
        """Number of subscriptions to a channel, whatever their state."""
        channel = self._channels.get(name)
        return 0 if channel is None else channel.subscription_count

    # -- delivery ------------------------------------------------------------------------------------------

    def deliver(self, publication: Publication) -> None:
        """Take the next publication of a channel from the log. Offsets of a channel rise."""
        channel = self._channels.get(publication.channel)
        if channel is None:
            return
        epoch, offset = publication.epoch, publication.offset
        if (offset != channel.offset + 1 or epoch != channel.epoch) and channel.epoch:
            if epoch == channel.epoch and offset <= channel.offset:
                return  # every subscription has it by its recovery, or got a gap for it
            self._add_gap(channel, Position(epoch, offset - 1))
        channel.epoch = epoch
        channel.offset = offset
        if channel.holds:
            channel.keep(publication)
        channel.pending.append(publication)
        if publication.exclude is not None:
            channel.excludes = True
        if not channel.queued:
            self._enqueue(channel)

    def announce(self, name: str, text: bytes, exclude: Sequence[Subscription] = ()) -> None:
        """Send an ephemeral event (JSON text), in order with the publications, but not to `exclude`."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.pending.append(Announcement(text, exclude))
            channel.excludes |= bool(exclude)
            self._enqueue(channel)

    # -- gaps ----------------------------------------------------------------------------------------------

    def lost(self, name: str, position: Position) -> None:
        """Record that publications up to `position` will not be delivered."""
        channel = self._channels.get(name)
        if channel is None or not channel.epoch:
            return
        if channel.epoch != position.epoch or channel.offset < position.offset:
            self._add_gap(channel, position)
            self._enqueue(channel)

    def _add_gap(self, channel: Channel, to: Position) -> None:
        notice = self.make_gap(channel.name, channel.last, to)
        channel.move_to(to)
        if channel.holds:
            channel.keep(notice)
        channel.pending.append(notice)

    def make_gap(self, name: str, since: Position, to: Position) -> GapNotice:
        """Make the notice that publications between two positions of a channel are not available."""
        reason = GapReason.TRIMMED if since.epoch == to.epoch else GapReason.EPOCH_CHANGED
        self.gaps += 1
        return GapNotice(name, since, to, reason, self._timestamp())

    def make_gap_before(self, item: Publication | GapNotice, since: Position) -> GapNotice:
        """Make the notice of what is missing between `since` and an item. A gap item is covered by it."""
        to = Position(item.epoch, item.offset - isinstance(item, Publication))
        return self.make_gap(item.channel, since, to)
