"""How many connections a publication is queued to, and sends to one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import USER_PREFIX
from rtcli.protocol.publication import direct_data
from rtcli_server.connections.hub import Client, Hub
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.metrics.registry import Metrics


class Queued(NamedTuple):
    """To how many connections something was queued: on this instance, and on all of them where that is known.

    Each gets it, or is told of a gap, unless it is lost first.
    """

    here: int
    deployment: int | None


NOBODY = Queued(0, 0)


class Audience:
    """The clients of this instance. `is_alone`: whether it is known that no other instance lives."""

    def __init__(self, hub: Hub, fanout: Fanout, metrics: Metrics, *, is_alone: Callable[[], bool]) -> None:
        self._hub = hub
        self._fanout = fanout
        self._metrics = metrics
        self._is_alone = is_alone

    def of(self, channel: str, exclude: Exclusion | None) -> Queued:
        """Those that follow a channel now: what was just published in it is queued to them."""
        here = self._count(channel)
        if exclude is not None:
            here -= sum(client.follows(channel) for client in self._covered(exclude))
        return Queued(here, here if self._is_alone() else None)

    def _count(self, channel: str) -> int:
        if channel.startswith(USER_PREFIX):  # most of them wait without a subscription
            clients = self._hub.of_user(channel.removeprefix(USER_PREFIX))
            return sum(client.follows(channel) for client in clients)
        return self._fanout.subscription_count(channel)

    def _covered(self, exclude: Exclusion) -> set[Client]:
        named = {self._hub.clients[name] for name in exclude.connections if name in self._hub.clients}
        return named.union(*map(self._hub.of_user, exclude.users))

    def tell(self, connection_id: str, event: str, data: bytes) -> Queued | None:
        """Send an event to one connection of this instance; None when it is not here. `data` is JSON."""
        client = self._hub.clients.get(connection_id)
        if client is None:
            return None
        told = client.tell(direct_data(event, data))
        self._metrics.direct["queued" if told else "dropped"] += 1
        return Queued(int(told), int(told))
