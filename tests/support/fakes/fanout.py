"""What the tests of fan-out and its neighbours put in the place of a loop and of transports."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.channel import Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.wire import Batch, EventBatch, Format

EPOCH = "abcd1234"


def publication(
    offset: int, *, channel: str = "room:a", epoch: str = EPOCH, exclude: Exclusion | None = None
) -> Publication:
    """The publication with that offset; its content is its offset."""
    time_ms = 1_700_000_000_000 + offset
    data = f'{{"room":"a","content":"{offset}","sender_id":1,"sender_name":"A","timestamp":"t"}}'
    return Publication(channel, epoch, offset, "new_message", data.encode(), time_ms, exclude)


def at(offset: int, epoch: str = EPOCH) -> Position:
    """A position in the usual epoch."""
    return Position(epoch, offset)


class Turns:
    """A loop that turns when it is told to."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def call_soon(self, run: Callable[[], None]) -> None:
        """As the loop's."""
        self._soon.append(run)

    def turn(self) -> bool:
        """Run what was scheduled before; return whether there was anything."""
        ran = bool(self._soon)
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        return ran

    def run(self) -> int:
        """Turn until nothing is left; return the number of turns."""
        turns = 0
        while self.turn():
            turns += 1
        return turns


class FakeSubscriber:
    """A connection that keeps every batch."""

    def __init__(
        self, format_: Format = Format.TEXTS, *, user_id: str = "7", connection_id: str = "c-7"
    ) -> None:
        self.user_id = user_id
        self.connection_id = connection_id
        self.format = format_
        self.full = False
        self.batches: list[Batch] = []
        self.on_write: Callable[[], None] = lambda: None
        self.is_cut = False

    @property
    def busy(self) -> bool:
        """As full as that."""
        return self.full

    def batch_writer(self, subscription: Subscription) -> Callable[[Any], None]:
        """Return a function that keeps the batches of a subscription."""
        return partial(self._write, subscription)

    def _write(self, subscription: Subscription, batch: Batch) -> None:
        self.batches.append(batch)
        if isinstance(batch, EventBatch):
            subscription.position = batch.position
        self.on_write()

    def abort(self) -> None:
        """Note that the connection was cut."""
        self.is_cut = True

    @property
    def texts(self) -> list[str]:
        """Every message that was written, for Format.TEXTS."""
        return [text for batch in self.batches if isinstance(batch, tuple) for text in batch]


def new_fanout(turns: Turns, log: list[str] | None = None) -> Fanout:
    """A fan-out on `turns`; what it subscribes and unsubscribes goes into `log`."""
    events = [] if log is None else log
    return Fanout(
        subscribe=lambda channel: events.append(f"+{channel}"),
        unsubscribe=lambda channel: events.append(f"-{channel}"),
        call_soon=turns.call_soon,
        timestamp=lambda: "2026-01-01T00:00:00.000Z",
    )


def join(
    fanout: Fanout, subscriber: FakeSubscriber, position: Position, channel: str = "room:a"
) -> Subscription:
    """Make a subscription whose history ended at `position`."""
    subscription = fanout.open(channel, subscriber)
    fanout.go_live(subscription, position)
    subscription.channel.release()
    return subscription
