"""Writing a batch to subscriptions, and leaving out those that it is not for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.publication import Publication
from rtcli_server.delivery.channel import Channel, State, Subscriber, Subscription, Write
from rtcli_server.delivery.wire import JOIN, Announcement, Item, Skipped, Written
from rtcli_server.timing.containment import contained

_log = logging.getLogger(__name__)


def write_all(writes: Iterable[Write], batch: object) -> Sequence[Write]:
    """Write one batch to everyone; return those that raised. They are logged; the others are still made.

    The caller has to `cut` the subscriptions of those, which have missed a batch.
    """
    remaining = iter(writes)
    failed: tuple[Write, ...] = ()
    write: Write | None = None
    while True:
        try:
            for write in remaining:
                write(batch)
        except Exception:  # noqa: BLE001 - a failing transport must not affect the others
            _log.exception("a write failed")
            if write is not None:
                failed = (*failed, write)
        else:
            return failed


def write_items(subscription: Subscription, items: Sequence[Item]) -> None:
    """Write `items` to one subscription alone. If that raises, it is logged, and the connection is cut."""
    subscriber = subscription.subscriber
    try:
        batch = JOIN[subscriber.format](_shown_to(subscriber, items))
        if batch:
            subscriber.batch_writer(subscription)(batch)
    except Exception:  # noqa: BLE001 - whatever it was, the client must not go on without them
        _log.exception("a write failed")
        cut(subscription)


def _shown_to(subscriber: Subscriber, items: Sequence[Item]) -> Sequence[Written]:
    """`items`, of which those that exclude the subscriber are a position alone."""
    for item in items:
        if isinstance(item, Publication) and item.exclude is not None:
            break
    else:
        return items
    return [
        Skipped(item)
        if isinstance(item, Publication)
        and item.exclude is not None
        and item.exclude.covers(subscriber.user_id, subscriber.connection_id)
        else item
        for item in items
    ]


def cut(subscription: Subscription) -> None:
    """Drop the connection of a subscription that has missed something: its client comes back and resumes."""
    with contained(_log, "cutting a connection failed"):  # the others have to be written to
        subscription.subscriber.abort()


def excluded_from(channel: Channel, items: Sequence[Item]) -> set[Subscription]:
    """The LIVE subscriptions of a channel that do not get all of `items`."""
    excluded = {
        subscription for item in items if isinstance(item, Announcement) for subscription in item.exclude
    }
    excluded = {subscription for subscription in excluded if subscription.state is State.LIVE}
    exclusions = [
        item.exclude for item in items if isinstance(item, Publication) and item.exclude is not None
    ]
    if exclusions:
        excluded |= _covered(channel, exclusions)
    return excluded


def _covered(channel: Channel, exclusions: Sequence[Exclusion]) -> set[Subscription]:
    """The LIVE subscriptions of those who are excluded from any of these."""
    users = {user for exclusion in exclusions for user in exclusion.users}
    connections = {connection for exclusion in exclusions for connection in exclusion.connections}
    return {
        subscription
        for group in channel.groups
        for subscription in group
        if subscription.subscriber.user_id in users or subscription.subscriber.connection_id in connections
    }


def items_for(subscription: Subscription, items: Iterable[Item]) -> list[Item]:
    """Those of `items` that are for this subscription."""
    return [item for item in items if not (isinstance(item, Announcement) and subscription in item.exclude)]
