"""Clients that read too slowly: what they are owed waits in the log until they have room for it.

A client whose transport holds more than its budget gets no further publications; all that is kept of it is
its position in each channel. When the transport has drained, what the client missed is read from the log,
piece by piece, each when there is room. Long replays of new subscriptions are written in the same way. A
client that does not catch up within a deadline, or has no room for the next piece of a replay for so long,
is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from rtcli.protocol.codes import CloseCode
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.paging import ReadHistory
from rtcli_server.connections.hub import Closable, close_or_cut
from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.delivery.channel import State, Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.recovery import catch_up
from rtcli_server.timing.tasks import Spawn

READ_AGAIN_S = 1.0  # after the log could not be read


class Consumer(Closable, Protocol):
    """A client that can be closed for being slow."""

    @property
    def busy(self) -> bool:
        """Whether so much waits in the transport that a replay has to wait too."""
        ...


class SlowConsumers:
    """The clients of this instance that are behind.

    `now` returns monotonic seconds; `deadline_s`: how long a client may be behind before it is closed.
    """

    def __init__(
        self,
        fanout: Fanout,
        history: ReadHistory,
        budget: SendBudget,
        *,
        spawn: Spawn,
        now: Callable[[], float],
        deadline_s: float,
    ) -> None:
        self._fanout = fanout
        self._history = history
        self._budget = budget
        self._spawn = spawn
        self._now = now
        self._deadline_s = deadline_s
        self._behind_since: dict[Consumer, float] = {}  # full once, and not caught up yet
        self._no_room_since: dict[Consumer, float] = {}  # the next piece of a replay waits
        self._catching_up: set[Consumer] = set()
        self._replays: dict[Subscription, Callable[[], None]] = {}  # what to do when one is written
        self._unread: dict[Consumer, Collection[Subscription]] = {}  # the log could not be read for them
        self._read_again_at = 0.0

    def __len__(self) -> int:
        return len(self._behind_since)

    # -- what the transport of a client reports ------------------------------------------------------------

    def stall(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        """Stop delivery to a client whose transport is full."""
        self._behind_since.setdefault(consumer, self._now())
        self._fanout.stall(subscriptions)

    def busy(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        """Write with a check of the budget to a client from now on: much waits in its transport."""
        self._budget.busy.add(consumer)
        for subscription in subscriptions:
            subscription.renew_write()

    def drained(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        """Go on with a client whose transport has drained.

        `subscriptions` is a view of the client's subscriptions: those that are added later count too.
        """
        self._budget.busy.discard(consumer)
        for subscription in subscriptions:
            subscription.renew_write()
        self._no_room_since.pop(consumer, None)
        if any(subscription.state is State.LAGGING for subscription in subscriptions):
            self._start(consumer, subscriptions)
        else:
            self._behind_since.pop(consumer, None)  # it drained before anything was left out

    def forget(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        """End everything for a client that is gone; its subscriptions are closed."""
        self._budget.busy.discard(consumer)
        self._behind_since.pop(consumer, None)
        self._no_room_since.pop(consumer, None)
        self._unread.pop(consumer, None)
        for subscription in subscriptions:
            self._settle(subscription)

    # -- replays -------------------------------------------------------------------------------------------

    def replay(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        """Write the rest of the replays of subscriptions that have begun with a piece, if there are any."""
        if _lagging(subscriptions):
            self._start(consumer, subscriptions)

    def when_written(self, replayed: Subscription, on_written: Callable[[], None]) -> None:
        """Call `on_written` when a subscription has all of its replay, or is closed."""
        self._replays[replayed] = on_written

    def _settle(self, subscription: Subscription) -> None:
        on_written = self._replays.pop(subscription, None)
        if on_written is not None:
            on_written()

    # -- catching up ---------------------------------------------------------------------------------------

    def _start(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        if consumer not in self._catching_up:
            self._catching_up.add(consumer)
            self._spawn(self._catch_up(consumer, subscriptions))

    async def _catch_up(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        try:
            while not consumer.busy and (lagging := _lagging(subscriptions)):
                for subscription in lagging:
                    await self._catch_up_in(subscription)
        except BrokerUnavailableError:
            self._unread[consumer] = subscriptions  # the deadline runs
        finally:
            self._catching_up.discard(consumer)
            if not _lagging(subscriptions):
                self._behind_since.pop(consumer, None)
            elif consumer not in self._behind_since:
                self._no_room_since[consumer] = self._now()

    async def _catch_up_in(self, subscription: Subscription) -> None:
        if subscription.state is State.LAGGING:
            piece_bytes = self._budget.piece_bytes
            await catch_up(self._fanout, self._history, subscription, piece_bytes=piece_bytes)
        if subscription.state is not State.LAGGING:
            self._settle(subscription)

    # -- time passes ---------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Close the clients that have been behind for too long; try again to read a log that was away."""
        if self._unread and now >= self._read_again_at:
            self._read_again_at = now + READ_AGAIN_S
            unread, self._unread = self._unread, {}
            for consumer, subscriptions in unread.items():
                self._start(consumer, subscriptions)
        for waiting in (self._behind_since, self._no_room_since):
            late = [consumer for consumer, since in waiting.items() if now - since > self._deadline_s]
            for consumer in late:
                waiting.pop(consumer, None)
                close_or_cut(consumer, CloseCode.SLOW_CONSUMER, "slow_consumer", 0)


def _lagging(subscriptions: Collection[Subscription]) -> list[Subscription]:
    return [subscription for subscription in subscriptions if subscription.state is State.LAGGING]
