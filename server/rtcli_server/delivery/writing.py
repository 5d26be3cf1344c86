"""Writing a batch to subscriptions, and leaving out those that it is not for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from rtcli_server.delivery.channel import State, Subscription, Write
from rtcli_server.delivery.wire import JOIN, Announcement, Item

_log = logging.getLogger(__name__)


def write_all(writes: Iterable[Write], batch: object) -> None:
    """Write one batch to everyone. An exception from one write is logged; the others are still made."""
    remaining = iter(writes)
    while True:
        try:
            for write in remaining:
                write(batch)
        except Exception:  # noqa: BLE001 - a failing transport must not affect the others
            _log.exception("a write failed")
        else:
            return


def write_items(subscription: Subscription, items: Sequence[Item]) -> None:
    """Write `items` to one subscription alone."""
    subscriber = subscription.subscriber
    batch = JOIN[subscriber.format](items)
    if batch:
        write_all((subscriber.batch_writer(subscription),), batch)


def excluded_from(items: Sequence[Item]) -> set[Subscription]:
    """The LIVE subscriptions that do not get all of `items`."""
    excluded = {
        subscription for item in items if isinstance(item, Announcement) for subscription in item.exclude
    }
    return {subscription for subscription in excluded if subscription.state is State.LIVE}


def items_for(subscription: Subscription, items: Iterable[Item]) -> list[Item]:
    """Those of `items` that are for this subscription."""
    return [item for item in items if not (isinstance(item, Announcement) and subscription in item.exclude)]
