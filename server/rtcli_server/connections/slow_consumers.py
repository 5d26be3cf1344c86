"""Clients that read too slowly: delivery to them stops until they have drained and caught up.

A client whose transport holds more than its budget gets no further publications; all that is kept of it is
its position in each channel. When the transport has drained, what the client missed is read from the log. A
client that does not get there within a deadline is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from rtcli.protocol.codes import CloseCode
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.delivery.channel import State, Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.recovery import ReadHistory, catch_up
from rtcli_server.timing.containment import contained
from rtcli_server.timing.tasks import Spawn

_log = logging.getLogger(__name__)


class Consumer(Protocol):
    """A client that can be closed for being slow."""

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """Begin to close."""
        ...


class SlowConsumers:
    """The clients of this instance that are behind.

    `now` returns monotonic seconds; `deadline_s`: how long a client may be behind before it is closed.
    """

    def __init__(
        self,
        fanout: Fanout,
        history: ReadHistory,
        *,
        spawn: Spawn,
        now: Callable[[], float],
        deadline_s: float,
    ) -> None:
        self._fanout = fanout
        self._history = history
        self._spawn = spawn
        self._now = now
        self._deadline_s = deadline_s
        self._behind_since: dict[Consumer, float] = {}
        self._catching_up: set[Consumer] = set()

    def __len__(self) -> int:
        return len(self._behind_since)

    def set_writable(self, consumer: Consumer, subscriptions: Collection[Subscription], *, on: bool) -> None:
        """Stop delivery to a client whose transport is full (`on` is False); catch up once it has drained.

        `subscriptions` is a view of the client's subscriptions: those that are added later count too.
        """
        if not on:
            self._behind_since.setdefault(consumer, self._now())
            self._fanout.stall(subscriptions)
        elif consumer not in self._catching_up:
            self._catching_up.add(consumer)
            self._spawn(self._catch_up(consumer, subscriptions))

    async def _catch_up(self, consumer: Consumer, subscriptions: Collection[Subscription]) -> None:
        try:
            for subscription in list(subscriptions):
                if subscription.state is State.LAGGING:
                    await catch_up(self._fanout, self._history, subscription)
        except BrokerUnavailableError:
            return  # the deadline is running; a client that is closed resumes when it comes back
        finally:
            self._catching_up.discard(consumer)
        if all(subscription.state in {State.FRESH, State.LIVE} for subscription in subscriptions):
            self._behind_since.pop(consumer, None)

    def forget(self, consumer: Consumer) -> None:
        """End the deadline of a client that is gone."""
        self._behind_since.pop(consumer, None)

    def tick(self, now: float) -> None:
        """Close the clients that have been behind for too long."""
        late = [consumer for consumer, since in self._behind_since.items() if now - since > self._deadline_s]
        for consumer in late:
            del self._behind_since[consumer]
            with contained(_log, "closing a slow client failed"):
                consumer.shut_down(CloseCode.SLOW_CONSUMER, "slow_consumer", 0)
