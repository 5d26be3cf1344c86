"""The state of fan-out: channels, their subscriptions, and what each is waiting for. See fanout.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.wire import Announcement, Batch, Format, GapNotice, Item

MAX_HELD_BYTES = 4_194_304  # of publications kept while histories are read; who is further behind reads again
_ITEM_BYTES = 200  # of its object
NOWHERE = Position("", 0)  # before anything is known of a channel

Write = Callable[[Any], None]  # writes one batch
T = TypeVar("T", bound=Item)


class State(IntEnum):
    """The state of a subscription; the top of fanout.py describes them."""

    RECOVERING = 0
    FRESH = 1
    LIVE = 2
    LAGGING = 3
    LEFT = 4


class Subscriber(Protocol):
    """One connection, as fan-out sees it."""

    __slots__ = ()

    user_id: str
    connection_id: str

    @property
    def format(self) -> Format:
        """What `batch_writer` takes."""
        ...

    @property
    def full(self) -> bool:
        """Whether the transport holds more than the budget: live delivery stops."""
        ...

    @property
    def busy(self) -> bool:
        """Whether so much waits in the transport that a replay has to wait too; true when it is `full`."""
        ...

    def batch_writer(self, subscription: Subscription) -> Write:
        """Return the function that writes one batch; another one when `busy` changes (`renew_write`).

        It must not change subscriptions; it may call `Fanout.stall` and `renew_write`. When it raises, the
        subscriber is cut.
        """
        ...

    def abort(self) -> None:
        """Drop the transport: the client has missed something, and has to resume. Allowed within a write."""
        ...


class Subscription:
    """One connection's subscription to one channel."""

    __slots__ = ("channel", "position", "state", "subscriber")

    def __init__(self, channel: Channel, subscriber: Subscriber) -> None:
        self.channel = channel
        self.subscriber = subscriber
        self.state = State.RECOVERING
        self.position = NOWHERE  # kept up to date only where the state says so, and for event streams

    @property
    def written(self) -> Position:
        """Up to where it was written; maybe further, in the middle of a large flush."""
        return self.channel.flushed if self.state is State.LIVE else self.position

    def make_live(self) -> None:
        """Take part in whole batches from now on."""
        self.channel.groups[self.subscriber.format][self] = self.subscriber.batch_writer(self)
        self.state = State.LIVE

    def renew_write(self) -> None:
        """Use the subscriber's present `batch_writer` from the next batch on."""
        if self.state is State.LIVE:
            self.channel.groups[self.subscriber.format][self] = self.subscriber.batch_writer(self)

    def replay_from(self, position: Position) -> None:
        """Begin at `position`, of which the log has what follows: `recovery.catch_up` writes it."""
        self.position = position
        self.state = State.LAGGING

    def take_out(self) -> None:
        """Leave the channel's list of FRESH or LIVE subscriptions. The caller sets the new state."""
        if self.state is State.FRESH:
            self.channel.fresh.remove(self)
        elif self.state is State.LIVE:
            del self.channel.groups[self.subscriber.format][self]


class FlushSlice:
    """The rest of one batch: its receivers and their write functions, in two lists side by side."""

    __slots__ = ("_next", "_subscriptions", "_writes", "batch")

    def __init__(self, group: dict[Subscription, Write], batch: Batch, without: set[Subscription]) -> None:
        if without:
            group = {
                subscription: write for subscription, write in group.items() if subscription not in without
            }
        self._subscriptions = list(group)
        self._writes = list(group.values())
        self._next = 0
        self.batch = batch

    def __len__(self) -> int:
        return len(self._writes) - self._next

    def owners_of(self, writes: Sequence[Write]) -> list[Subscription]:
        """The subscriptions that these writes are of."""
        pairs = zip(self._subscriptions, self._writes, strict=True)
        return [subscription for subscription, write in pairs if write in writes]

    def take(self, count: int, *, check: bool) -> list[Write]:
        """Return the next writes. `check`: skip subscriptions that have left since the flush began."""
        start = self._next
        self._next = end = min(start + count, len(self._writes))
        writes = self._writes[start:end]
        if check:
            pairs = zip(self._subscriptions[start:end], writes, strict=True)
            writes = [write for subscription, write in pairs if subscription.state is State.LIVE]
        return writes

    def finish(self, subscription: Subscription) -> None:
        """Write to this subscription now if its turn is still to come. It must leave afterwards."""
        for index in range(self._next, len(self._subscriptions)):
            if self._subscriptions[index] is subscription:
                self._writes[index](self.batch)


class Flush:
    """A flush in progress: the slices that are left, and the position of everyone when it is done."""

    __slots__ = ("position", "slices", "somebody_left")

    def __init__(self, slices: list[FlushSlice], position: Position) -> None:
        self.slices = slices
        self.position = position
        self.somebody_left = False

    def finish(self, subscription: Subscription) -> None:
        """Write the rest of this flush to a subscription that is about to leave."""
        for flush_slice in self.slices:
            flush_slice.finish(subscription)


class Channel:
    """A channel that has subscriptions on this instance."""

    __slots__ = (
        "_held_bytes", "epoch", "excludes", "flush", "flushed", "fresh", "groups", "held", "holds", "name",
        "offset", "pending", "queued", "subscription_count",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = ""  # of the newest publication delivered here, or known by the first join
        self.offset = 0
        self.flushed = NOWHERE  # of the newest written to every LIVE subscription
        self.subscription_count = 0  # in any state but LEFT
        self.groups: tuple[dict[Subscription, Write], ...] = ({}, {}, {})  # LIVE, by Format
        self.fresh: list[Subscription] = []
        self.holds = 0  # subscriptions that are RECOVERING or catching up
        self.held: deque[Publication | GapNotice] = deque()
        self._held_bytes = 0
        self.pending: list[Item] = []
        self.excludes = False  # whether something that is pending is not for everyone
        self.queued = False
        self.flush: Flush | None = None

    @property
    def last(self) -> Position:
        """The position of the newest publication delivered here; its epoch is "" before anything is known."""
        return Position(self.epoch, self.offset)

    def move_to(self, position: Position) -> None:
        """Set `last`."""
        self.epoch, self.offset = position

    # -- what is kept while a history is read --------------------------------------------------------------

    def hold(self) -> None:
        """Keep what is delivered from now on, until `release`."""
        self.holds += 1

    def keep(self, item: Publication | GapNotice) -> None:
        """Keep an item for those who hold; over the limit, forget the oldest ones."""
        self.held.append(item)
        self._held_bytes += _size(item)
        while self._held_bytes > MAX_HELD_BYTES:
            self._held_bytes -= _size(self.held.popleft())

    def release(self) -> None:
        """End one hold. After the last one, nothing is kept."""
        self.holds -= 1
        if not self.holds:
            self.held.clear()
            self._held_bytes = 0

    def held_after(self, position: Position) -> list[Publication | GapNotice] | None:
        """What was delivered after `position`; None when some of it is not kept: read the history again."""
        last = self.last
        if not last.epoch or (last.epoch == position.epoch and last.offset <= position.offset):
            return []
        rest = after(self.held, position)
        return rest if rest and follows(position, rest[0]) else None


def _size(item: Publication | GapNotice) -> int:
    if isinstance(item, GapNotice):
        return _ITEM_BYTES + len(item.text)
    return _ITEM_BYTES + item.content_bytes


def after(items: Iterable[T], position: Position) -> list[T]:
    """What comes behind the last of `items` that `position` covers; all of them when it covers none."""
    rest = list(items)
    for index in range(len(rest) - 1, -1, -1):
        item = rest[index]
        if (
            not isinstance(item, Announcement)
            and item.epoch == position.epoch
            and item.offset <= position.offset
        ):
            return rest[index + 1 :]
    return rest


def follows(position: Position, item: Publication | GapNotice) -> bool:
    """Whether nothing is missing between `position` and `item`."""
    if isinstance(item, GapNotice):
        return item.since == position  # a gap says itself what is missing
    return item.epoch == position.epoch and item.offset == position.offset + 1
