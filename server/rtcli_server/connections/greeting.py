"""The greeting of a WebSocket connection, and its personal and broadcast events (protocol.md, section 3).

The greeting tells where the events begin, so it waits for the log when the client wants them. A connection
that missed no personal event is dormant after it (personal_events.py). The broadcast channel is one for all.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

from rtcli.protocol.codes import CloseCode, ErrorCode, GapReason
from rtcli.protocol.messages import Cursor, CursorData, ResumedData
from rtcli.protocol.position import (
    BROADCAST,
    ROOM_PREFIX,
    USER_PREFIX,
    Position,
    fitting,
    format_cursor,
)
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.connections.commands import Sender
from rtcli_server.delivery import resumption
from rtcli_server.delivery.channel import NOWHERE, Subscription
from rtcli_server.delivery.recovery import RecoveryResult, begin, read_missed
from rtcli_server.delivery.resumption import Opening, Resume
from rtcli_server.session.decisions import TellCursor

GREETING = NOWHERE  # `dormant_at` before the greeting
WOKEN = Position("", 1)  # and when something was published meanwhile


class Greeted(Sender, Protocol):
    """The connection, as far as the greeting uses it."""

    dormant_at: Position | None

    def start(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command; messages of the client wait for it."""
        ...


def greet(connection: Greeted, opening: Opening) -> None:
    """Greet a client whose handshake is done; with events, once the log has told where they begin."""
    resume = opening.resume
    rooms = {
        name.removeprefix(ROOM_PREFIX): position
        for name, position in resume.cursor.items()
        if name.startswith(ROOM_PREFIX)
    }
    if rooms:
        connection.session.resume(rooms)
    if opening.with_events:
        connection.dormant_at = GREETING
        connection.start(_greet_with_events(connection, resume))
        return
    failure = GapReason.INVALID_CURSOR if resume.invalid else None
    _say(connection, ResumedData(recovered=False if failure else None, reason=failure))


def _say(connection: Greeted, events: ResumedData) -> None:
    connection.follow(connection.session.opening(connection.services.clock.wall(), events))


async def _greet_with_events(connection: Greeted, resume: Resume) -> None:
    services, personal = connection.services, USER_PREFIX + connection.user_id
    opened: list[Subscription] = []
    try:
        top = (await services.broker.history(personal, since=None, limit=0)).top
        followed = [BROADCAST] if resume.cursor.get(personal, top) == top else [personal, BROADCAST]
        opened += [services.fanout.open(name, connection) for name in followed]
        results = await _read(connection, opened, resume.cursor)
        if not connection.closing:
            _begin(connection, opened, results, resume, top)
    except BrokerUnavailableError:
        connection.shut_down(CloseCode.TRY_AGAIN_LATER, ErrorCode.UNAVAILABLE, services.retry_after_ms())
    finally:
        if connection.closing:
            connection.dormant_at = None
        for subscription in opened:
            subscription.channel.release()
            if connection.subscriptions.get(subscription.channel.name) is not subscription:
                services.fanout.close(subscription)


async def _read(
    connection: Greeted, opened: Sequence[Subscription], cursor: Mapping[str, Position]
) -> list[RecoveryResult]:
    """Read what was missed. From now on, and known here: then nothing has to be read."""
    services, channel = connection.services, opened[-1].channel
    if len(opened) == 1 and BROADCAST not in cursor and channel.epoch:
        return [_nothing_missed(channel.last)]
    requests = [resumption.request_of(subscription, cursor, services.max_replay) for subscription in opened]
    return await read_missed(services.broker.history, requests, piece_bytes=services.send_budget.piece_bytes)


def _nothing_missed(top: Position) -> RecoveryResult:
    return RecoveryResult([], 0, top, None)


def _begin(
    connection: Greeted,
    opened: Sequence[Subscription],
    results: Sequence[RecoveryResult],
    resume: Resume,
    top: Position,
) -> None:
    """Write the greeting, then what was missed, and go live. `top`: of the personal channel."""
    services = connection.services
    names = [USER_PREFIX + connection.user_id, BROADCAST]
    all_results = [_nothing_missed(top), *results] if len(results) == 1 else results
    _say(connection, resumption.report(names, all_results, resume, services.metrics.resumed))
    connection.writer.flush()
    for subscription, result in zip(opened, results, strict=True):
        connection.subscriptions[subscription.channel.name] = subscription
        begin(services.fanout, subscription, result)
    services.slow_consumers.replay(connection, connection.subscriptions.values())
    woken = connection.dormant_at is WOKEN
    connection.dormant_at = top if len(opened) == 1 else None
    if woken:
        wake(connection)


def tell_cursor(connection: Greeted, decision: TellCursor) -> None:
    """Answer with the positions up to which the connection was written, as many as a cursor holds."""
    positions = {name: it.written for name, it in connection.subscriptions.items()}
    events_to = told_events_to(connection)
    if events_to is not None:
        positions[USER_PREFIX + connection.user_id] = events_to
    events_first = sorted(positions.items(), key=lambda item: item[0].startswith(ROOM_PREFIX))
    data = CursorData(format_cursor(fitting(events_first)))
    connection.send(Cursor(data=data, id=decision.id, timestamp=connection.services.clock.timestamp()))


def told_events_to(connection: Greeted) -> Position | None:
    """Return the position in its user's channel up to which it was written, dormant or not."""
    subscription = connection.subscriptions.get(USER_PREFIX + connection.user_id)
    position = connection.dormant_at if subscription is None else subscription.written
    return position if position is not None and position.epoch else None


def is_greeted(connection: Greeted) -> bool:
    """Whether the greeting, which comes first, was written."""
    return connection.dormant_at not in {GREETING, WOKEN}


def waits_for(connection: Greeted, channel: str) -> bool:
    """Whether the connection gets the events of this channel without a subscription: it is its user's."""
    return connection.dormant_at is not None and channel == USER_PREFIX + connection.user_id


def wake(connection: Greeted) -> None:
    """Subscribe and catch up, if the connection is dormant: its user's channel has something new."""
    position = connection.dormant_at
    if position is GREETING:
        connection.dormant_at = WOKEN
    if position is None or not position.epoch or connection.closing:
        return
    services = connection.services
    connection.dormant_at = None
    subscription = services.fanout.open(USER_PREFIX + connection.user_id, connection)
    subscription.channel.release()  # what is read holds by itself
    connection.subscriptions[subscription.channel.name] = subscription
    subscription.replay_from(position)
    services.slow_consumers.replay(connection, connection.subscriptions.values())
