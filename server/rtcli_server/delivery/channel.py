"""What fan-out keeps: channels, their members, and where each stands. `fanout.py` says how it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Protocol, TypeVar

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.wire import Batch, Format, GapNotice, Item, Notice

MAX_HELD = 4_096  # publications kept while histories are read; who is further back reads again
NOWHERE = Position("", 0)  # before anything is known of a channel

T = TypeVar("T", bound=Item)


class State(IntEnum):
    """Where a member stands; see the top of fanout.py."""

    HOLDING = 0
    FRESH = 1
    LIVE = 2
    BEHIND = 3
    GONE = 4


class Sink(Protocol):
    """One connection, as fan-out sees it."""

    @property
    def format(self) -> Format:
        """What `writer` takes."""
        ...

    @property
    def full(self) -> bool:
        """Whether the transport holds more than the budget."""
        ...

    def writer(self, member: Member) -> Callable[[Any], None]:
        """Give the function that writes one batch. It must not change members; it may call `stall`."""
        ...


class Member:
    """One connection's place in one channel."""

    __slots__ = ("channel", "position", "sink", "state")

    def __init__(self, channel: Channel, sink: Sink) -> None:
        self.channel = channel
        self.sink = sink
        self.state = State.HOLDING
        self.position = NOWHERE  # kept up to date only where the state says so, and for streams

    @property
    def written(self) -> Position:
        """Up to where this member has been written (not to be asked while HOLDING)."""
        return self.channel.flushed if self.state is State.LIVE else self.position


class Part:
    """What is left of one batch: who gets it, in two lists side by side."""

    __slots__ = ("_at", "_members", "_writes", "batch")

    def __init__(
        self, group: dict[Member, Callable[[Any], None]], batch: Batch, without: set[Member]
    ) -> None:
        if without:
            group = {member: write for member, write in group.items() if member not in without}
        self._members = list(group)
        self._writes = list(group.values())
        self._at = 0
        self.batch = batch

    def __len__(self) -> int:
        return len(self._writes) - self._at

    def take(self, count: int, *, check: bool) -> list[Callable[[Any], None]]:
        """The next writes; `check`: somebody has left since, and gets nothing."""
        start = self._at
        self._at = end = min(start + count, len(self._writes))
        writes = self._writes[start:end]
        if check:
            pairs = zip(self._members[start:end], writes, strict=True)
            writes = [write for member, write in pairs if member.state is State.LIVE]
        return writes

    def finish(self, member: Member) -> None:
        """Write to this member now if its turn is still to come; `take` must not come to it again."""
        for index in range(self._at, len(self._members)):
            if self._members[index] is member:
                self._writes[index](self.batch)


class Job:
    """A flush that is not through: what is left, and where everyone stands when it is."""

    __slots__ = ("parts", "position", "somebody_left")

    def __init__(self, parts: list[Part], position: Position) -> None:
        self.parts = parts
        self.position = position
        self.somebody_left = False

    def finish(self, member: Member) -> None:
        """Give a member that is about to leave its part of this flush."""
        for part in self.parts:
            part.finish(member)


class Channel:
    """A channel that has members here."""

    __slots__ = (
        "epoch", "excludes", "flushed", "fresh", "groups", "held", "holds", "job", "members", "name",
        "offset", "pending", "queued",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = ""  # of the newest publication delivered here, or known by the first join
        self.offset = 0
        self.flushed = NOWHERE  # of the newest written to every live member
        self.members = 0  # in any state but GONE
        self.groups: tuple[dict[Member, Callable[[Any], None]], ...] = ({}, {}, {})  # LIVE, by Format
        self.fresh: list[Member] = []
        self.holds = 0  # members that are HOLDING or catching up
        self.held: deque[Publication | GapNotice] = deque(maxlen=MAX_HELD)
        self.pending: list[Item] = []
        self.excludes = False  # whether something pending is not for everyone
        self.queued = False
        self.job: Job | None = None

    @property
    def last(self) -> Position:
        """The position of the newest publication delivered here; its epoch is "" before anything is known."""
        return Position(self.epoch, self.offset)

    def stand_at(self, position: Position) -> None:
        """Set `last`."""
        self.epoch, self.offset = position


def after(items: Iterable[T], position: Position) -> list[T]:
    """What comes behind the last of `items` that `position` covers; all of them when it covers none."""
    rest = list(items)
    for index in range(len(rest) - 1, -1, -1):
        item = rest[index]
        if not isinstance(item, Notice) and item.epoch == position.epoch and item.offset <= position.offset:
            return rest[index + 1 :]
    return rest


def follows(position: Position, item: Publication | GapNotice) -> bool:
    """Whether nothing is missing between `position` and `item`."""
    if isinstance(item, GapNotice):
        return item.since == position  # it says itself what is missing
    return item.epoch == position.epoch and item.offset == position.offset + 1
