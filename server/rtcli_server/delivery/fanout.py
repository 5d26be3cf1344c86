"""Hands publications to their channel's members: encoded once, joined per loop turn, straight to the socket.

`deliver` only puts a publication into its channel's `pending` list. Once per loop turn `_run` takes what is
pending, encodes it once per wire format and writes the same joined bytes to every member. There is no task,
queue or timer per member. A channel with more members than one slice goes on in the next turn, in the same
order for everyone; what is delivered meanwhile waits and is joined.

What a member has been written is always a prefix of its channel's order. It is in one of these states:

    HOLDING   joining: the history is being read; `Channel.held` keeps what is delivered meanwhile
    FRESH     live, but `position` may be ahead of what is still to be delivered: compared at each flush
    LIVE      gets whole batches; what it was written is the channel's `flushed`
    BEHIND    its transport holds too much: nothing is written, `position` is all that is kept of it
    GONE      left

so a member never sees what its join already covered, and a slow one costs a number per channel.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rtcli.protocol.codes import GapReason
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.channel import Channel, Job, Member, Part, Sink, State, after, follows
from rtcli_server.delivery.wire import JOIN, GapNotice, Item, Notice

SLICE = 500  # writes in one loop turn: 2-3 ms

_log = logging.getLogger(__name__)


class Fanout:
    """All channels with members on this instance.

    `subscribe` and `unsubscribe` tell the log what is wanted here; `call_soon` runs a function in the next
    loop turn; `timestamp` is the current time as it is written in messages; `on_flush(items, writes)` is told
    of each flush when it begins.
    """

    def __init__(
        self,
        *,
        subscribe: Callable[[str], None],
        unsubscribe: Callable[[str], None],
        call_soon: Callable[[Callable[[], None]], object],
        timestamp: Callable[[], str],
        on_flush: Callable[[Sequence[Item], int], None] | None = None,
    ) -> None:
        self._subscribe = subscribe
        self._unsubscribe = unsubscribe
        self._call_soon = call_soon
        self._timestamp = timestamp
        self._on_flush = on_flush
        self.gaps = 0  # made since the start
        self._channels: dict[str, Channel] = {}
        self._queue: deque[Channel] = deque()
        self._scheduled = False
        self._writing = False
        self._stalled: list[Member] = []

    # -- members -------------------------------------------------------------------------------------------

    def open(self, name: str, sink: Sink) -> Member:
        """Make `sink` a HOLDING member: from now on everything delivered is kept for it, until `release`."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name)
            self._subscribe(name)
        channel.members += 1
        channel.holds += 1
        return Member(channel, sink)

    def hold(self, channel: Channel) -> None:
        """Keep what is delivered from now on, for a member that reads the history again."""
        channel.holds += 1

    def release(self, channel: Channel) -> None:
        """End a hold; after the last one, nothing is kept."""
        channel.holds -= 1
        if not channel.holds:
            channel.held.clear()

    def held_after(self, channel: Channel, position: Position) -> list[Publication | GapNotice] | None:
        """What was delivered after `position`, or None when that is not all here: read the history again."""
        last = channel.last
        if not last.epoch or (last.epoch == position.epoch and last.offset <= position.offset):
            return []
        rest = after(channel.held, position)
        return rest if rest and follows(position, rest[0]) else None

    def go_live(self, member: Member, position: Position) -> None:
        """Begin live delivery: everything up to `position` has been written to `member`."""
        channel = member.channel
        if not channel.epoch:
            channel.stand_at(position)
            channel.flushed = position
        elif channel.epoch != position.epoch:
            self._break(channel, position)  # the log began anew, and nothing was delivered from it yet
            self._enqueue(channel)
        member.position = position
        if position == channel.flushed and not channel.queued:
            self._make_live(member)
        else:
            member.state = State.FRESH
            channel.fresh.append(member)

    @staticmethod
    def _make_live(member: Member) -> None:
        member.state = State.LIVE
        member.channel.groups[member.sink.format][member] = member.sink.writer(member)

    def finish(self, member: Member) -> None:
        """Write to a member that is about to leave what was delivered while it was one, and is still pending.

        Its own message may have been acknowledged in this very turn: that it comes is promised by then.
        """
        channel = member.channel
        items = channel.pending
        if member.state is State.FRESH:
            items = list(after(items, member.position))
        elif member.state is not State.LIVE:
            return
        elif channel.job is not None:
            channel.job.finish(member)
        write_items(member, [item for item in items if not _is_excluded(item, member)])

    def close(self, member: Member) -> None:
        """Take a member out; nothing is written to it after this. A hold is released apart."""
        channel = member.channel
        if member.state is State.GONE:
            return
        self._take_out(member)
        member.state = State.GONE
        channel.members -= 1
        if channel.job is not None:
            channel.job.somebody_left = True
        if not channel.members:
            del self._channels[channel.name]
            self._unsubscribe(channel.name)

    @staticmethod
    def _take_out(member: Member) -> None:
        if member.state is State.FRESH:
            member.channel.fresh.remove(member)
        elif member.state is State.LIVE:
            del member.channel.groups[member.sink.format][member]

    # -- delivery ------------------------------------------------------------------------------------------

    def deliver(self, publication: Publication) -> None:
        """Take the next publication of a channel from the log. Offsets of a channel rise."""
        channel = self._channels.get(publication.channel)
        if channel is None:
            return
        epoch, offset = publication.epoch, publication.offset
        if (offset != channel.offset + 1 or epoch != channel.epoch) and channel.epoch:
            if epoch == channel.epoch and offset <= channel.offset:
                return  # every member has it, by its join, or was told that it would not come
            self._break(channel, Position(epoch, offset - 1))
        channel.epoch = epoch
        channel.offset = offset
        if channel.holds:
            channel.held.append(publication)
        channel.pending.append(publication)
        if not channel.queued:
            self._enqueue(channel)

    def lost(self, name: str, position: Position) -> None:
        """Take notice that publications up to `position` will not be delivered."""
        channel = self._channels.get(name)
        if channel is None or not channel.epoch:
            return
        if channel.epoch != position.epoch or channel.offset < position.offset:
            self._break(channel, position)
            self._enqueue(channel)

    def _break(self, channel: Channel, to: Position) -> None:
        notice = self.gap(channel.name, channel.last, to)
        channel.stand_at(to)
        if channel.holds:
            channel.held.append(notice)
        channel.pending.append(notice)

    def gap(self, name: str, since: Position, to: Position) -> GapNotice:
        """Say that what lies between two positions cannot be had."""
        reason = GapReason.TRIMMED if since.epoch == to.epoch else GapReason.EPOCH_CHANGED
        self.gaps += 1
        return GapNotice(name, since, to, reason, self._timestamp())

    def gap_before(self, item: Publication | GapNotice, since: Position) -> GapNotice:
        """Say what is missing between `since` and an item; before a gap, that is the whole of it."""
        to = Position(item.epoch, item.offset - isinstance(item, Publication))
        return self.gap(item.channel, since, to)

    def announce(self, name: str, text: bytes, exclude: Sequence[Member] = ()) -> None:
        """Hand out an ephemeral event (JSON text), in order with the publications, but not to `exclude`."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.pending.append(Notice(text, exclude))
            channel.excludes |= bool(exclude)
            self._enqueue(channel)

    def _enqueue(self, channel: Channel) -> None:
        if channel.queued:
            return
        channel.queued = True
        self._queue.append(channel)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._wait)

    # -- flush ---------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Let one more turn pass: what other sockets have brought by then goes into the same writes."""
        self._call_soon(self._run)

    def _run(self) -> None:
        """Write what is pending: channel by channel until a slice is used up, the rest in the next turn."""
        budget = SLICE
        queue = self._queue
        self._writing = True
        while queue and budget > 0:
            channel = queue.popleft()
            budget -= 1 + (self._begin(channel) if channel.job is None else self._go_on(channel, budget))
            if channel.job is not None or channel.pending:
                queue.append(channel)  # behind the others: a large room does not stop the small ones
            else:
                channel.queued = False
        self._writing = False
        self._demote_stalled()
        self._scheduled = bool(queue)
        if queue:
            self._call_soon(self._run)

    def _begin(self, channel: Channel) -> int:
        """Encode what is pending and write it, unless that is more than a slice; return the writes made."""
        items, channel.pending = channel.pending, []
        excluded = _excluded(items) if channel.excludes else set()
        channel.excludes = False
        parts: list[Part] = []
        written = 0
        for join, group in zip(JOIN, channel.groups, strict=True):
            batch = join(items) if group else None
            if not batch:
                continue
            written += len(group)
            if parts or excluded or len(group) > SLICE:
                parts.append(Part(group, batch, excluded))
            else:
                write_all(group.values(), batch)
        if self._on_flush is not None:
            self._on_flush(items, written)
        left = sum(map(len, parts))
        channel.job = Job(parts, channel.last)
        for member in excluded:
            write_items(member, [item for item in items if not _is_excluded(item, member)])
        if channel.fresh:
            self._write_fresh(channel, items)
        return written - left + self._go_on(channel, SLICE)

    def _go_on(self, channel: Channel, budget: int) -> int:
        """Write the next part of a flush; return the writes made."""
        job = channel.job
        if job is None:
            return 0
        left = budget
        while job.parts and left > 0:
            part = job.parts[0]
            writes = part.take(left, check=job.somebody_left)
            left -= len(writes)
            write_all(writes, part.batch)
            if not part:
                del job.parts[0]
        if not job.parts:
            channel.job = None
            channel.flushed = job.position
        return budget - left

    def _write_fresh(self, channel: Channel, items: Sequence[Item]) -> None:
        """Give new members what is beyond their position, and make them LIVE once nothing can repeat it."""
        fresh, channel.fresh = channel.fresh, []
        for member in fresh:
            covered = member.position
            rest: list[Item] = [item for item in after(items, covered) if not _is_excluded(item, member)]
            first = next((item for item in rest if not isinstance(item, Notice)), None)
            if first is not None and not follows(covered, first):
                rest.insert(rest.index(first), self.gap_before(first, covered))
                if isinstance(first, GapNotice):
                    rest.remove(first)
            write_items(member, rest)
            if channel.epoch == covered.epoch and channel.offset < covered.offset:
                channel.fresh.append(member)
            else:
                self._make_live(member)

    # -- slow members --------------------------------------------------------------------------------------

    def stall(self, members: Iterable[Member]) -> None:
        """Let members fall behind: their transport holds more than the budget. Allowed within a write."""
        self._stalled += members
        if not self._writing:
            self._demote_stalled()

    def _demote_stalled(self) -> None:
        """Keep only the position of members that stalled.

        In the middle of a large flush their position is not known: they get the rest of that batch.
        """
        stalled, self._stalled = self._stalled, []
        for member in stalled:
            if member.state not in {State.LIVE, State.FRESH} or not member.sink.full:
                continue  # gone, or drained already
            if member.channel.job is not None:
                self._stalled.append(member)
                continue
            self._take_out(member)
            if member.state is State.LIVE:
                member.position = member.channel.flushed
            member.state = State.BEHIND


def write_all(writes: Iterable[Callable[[Any], None]], batch: object) -> None:
    """Write one batch to everyone; a write that raises is logged and stops no other."""
    remaining = iter(writes)
    while True:
        try:
            for write in remaining:
                write(batch)
        except Exception:  # noqa: BLE001 - one transport's trouble is not the others'
            _log.exception("a write failed")
        else:
            return


def write_items(member: Member, items: Sequence[Item]) -> None:
    """Write `items` to one member alone."""
    batch = JOIN[member.sink.format](items)
    if batch:
        write_all((member.sink.writer(member),), batch)


def _excluded(items: Sequence[Item]) -> set[Member]:
    """Who of the live members does not get everything."""
    excluded = {member for item in items if isinstance(item, Notice) for member in item.exclude}
    return {member for member in excluded if member.state is State.LIVE}


def _is_excluded(item: Item, member: Member) -> bool:
    return isinstance(item, Notice) and member in item.exclude
