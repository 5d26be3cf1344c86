"""What each command of a client does, for a connection whose session allowed it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from rtcli.protocol.codes import UNAVAILABLE_RETRY_MS, CloseCode, ErrorCode, GapReason
from rtcli.protocol.messages import Ack, AckData, RoomData, RoomJoined, RoomJoinedData, RoomLeft
from rtcli.protocol.position import BROADCAST, ROOM_PREFIX, USER_PREFIX
from rtcli_server.auth.authenticator import InvalidTokenError
from rtcli_server.broker import BrokerUnavailableError, Published
from rtcli_server.broker.chat import publish_message
from rtcli_server.delivery.channel import Subscription
from rtcli_server.delivery.recovery import RecoveryRequest, RecoveryResult, read_missed
from rtcli_server.delivery.writing import write_items
from rtcli_server.presence.rooms import shown
from rtcli_server.presence.service import Attendees
from rtcli_server.session.decisions import CheckToken, Join, Leave, Publish, SetTyping

if TYPE_CHECKING:
    from rtcli_server.connections.websocket import Connection


# -- joining and leaving -----------------------------------------------------------------------------------


async def join(connection: Connection, decision: Join) -> None:
    """Enter a room: hold live, read what was missed, reply, give it, go live."""
    services, room, user_id = connection.services, decision.room, connection.user_id
    subscription = services.fanout.open(ROOM_PREFIX + room, connection)
    limit = decision.history if decision.since is None else services.max_replay
    arrival = services.rooms.arrive(room, user_id)
    try:
        attendees = await services.rooms.enter(room, user_id, connection.name, subscription)
        request = RecoveryRequest(
            subscription.channel, decision.since, 0 if decision.since_invalid else limit
        )
        resumed = (await read_missed(services.broker.history, [request]))[0]
    except BrokerUnavailableError:
        services.rooms.leave(room, user_id, subscription)
        connection.refuse(ErrorCode.UNAVAILABLE, decision.id)
    else:
        if connection.closing:
            services.rooms.lose(room, user_id, subscription)
        else:
            _enter(connection, decision, subscription, resumed, attendees)
            for notice in arrival.notices:
                connection.writer.send(notice)
    finally:
        services.rooms.arrived(arrival)
        subscription.channel.release()


def _enter(
    connection: Connection,
    decision: Join,
    subscription: Subscription,
    resumed: RecoveryResult,
    attendees: Attendees,
) -> None:
    services = connection.services
    before = connection.subscriptions.get(subscription.channel.name)
    connection.subscriptions[subscription.channel.name] = subscription
    if before is not None:
        services.rooms.leave(decision.room, connection.user_id, before)
    connection.session.joined(decision.room)
    resumes = decision.since is not None or decision.since_invalid
    failure = GapReason.INVALID if decision.since_invalid else resumed.failure
    if resumes:
        services.metrics.resumed(failure)
    data = RoomJoinedData(
        room=decision.room,
        position=str(resumed.top),
        replayed=len(resumed.publications),
        members=shown(attendees),
        member_count=attendees.total,
        recovered=failure is None if resumes else None,
        reason=failure,
    )
    connection.send(RoomJoined(data=data, id=decision.id, timestamp=services.clock.timestamp()))
    connection.writer.flush()
    write_items(subscription, resumed.publications)
    services.fanout.go_live(subscription, resumed.top)


def leave(connection: Connection, decision: Leave) -> None:
    """Leave a room, and reply."""
    services = connection.services
    subscription = connection.subscriptions.pop(ROOM_PREFIX + decision.room, None)
    if subscription is not None:
        services.rooms.leave(decision.room, connection.user_id, subscription)
    data = RoomData(room=decision.room)
    connection.send(RoomLeft(data=data, id=decision.id, timestamp=services.clock.timestamp()))


async def follow_events(connection: Connection) -> None:
    """Follow the personal and the broadcast channel from now on."""
    services = connection.services
    for channel in (USER_PREFIX + connection.user_id, BROADCAST):
        subscription = services.fanout.open(channel, connection)
        try:
            request = RecoveryRequest(subscription.channel, None, 0)
            resumed = (await read_missed(services.broker.history, [request]))[0]
            if connection.closing:
                services.fanout.close(subscription)
            else:
                connection.subscriptions[channel] = subscription
                services.fanout.go_live(subscription, resumed.top)
        except BrokerUnavailableError:
            services.fanout.close(subscription)
            connection.shut_down(CloseCode.TRY_AGAIN_LATER, ErrorCode.UNAVAILABLE, UNAVAILABLE_RETRY_MS)
        finally:
            subscription.channel.release()


# -- publishing --------------------------------------------------------------------------------------------


def publish(connection: Connection, decision: Publish) -> None:
    """Append to the room's log; the acknowledgement is sent once it is there."""
    room, message_id = decision.room, decision.id
    services = connection.services
    future = publish_message(
        services.broker,
        services.clock,
        room=room,
        content=decision.content,
        user_id=connection.user_id,
        wire_id=connection.wire_id,
        name=connection.name,
        message_id=message_id,
    )
    if future.done():
        if message_id is None and future.exception() is None:
            services.metrics.published += 1  # without an id there is no repeat, and no acknowledgement
        else:
            _published(connection, room, message_id, future)
        return
    connection.outstanding += 1
    services.metrics.outstanding += 1
    connection.update_reading()
    future.add_done_callback(partial(_published_later, connection, room, message_id, services.clock.now()))


def _published_later(
    connection: Connection, room: str, message_id: str | None, since: float, future: asyncio.Future[Published]
) -> None:
    metrics = connection.services.metrics
    connection.outstanding -= 1
    metrics.outstanding -= 1
    metrics.publish_seconds.observe(connection.services.clock.now() - since)
    connection.update_reading()
    _published(connection, room, message_id, future)


def _published(
    connection: Connection, room: str, message_id: str | None, future: asyncio.Future[Published]
) -> None:
    connection.services.metrics.count(future)
    if connection.gone or future.cancelled():
        return
    if future.exception() is not None:
        connection.refuse(ErrorCode.UNAVAILABLE, message_id)
    elif message_id is not None:
        (epoch, offset), duplicate = future.result()
        data = AckData(room=room, offset=offset, epoch=epoch, duplicate=duplicate)
        connection.send(Ack(data=data, id=message_id, timestamp=connection.services.clock.timestamp()))


# -- the rest ----------------------------------------------------------------------------------------------


def set_typing(connection: Connection, decision: SetTyping) -> None:
    """Tell the other users of the room."""
    connection.services.rooms.set_typing(
        decision.room, connection.user_id, connection.name, is_typing=decision.is_typing
    )


async def check_token(connection: Connection, decision: CheckToken) -> None:
    """Verify a new token, and let the session go on with it."""
    clock = connection.services.clock
    try:
        principal = await connection.services.authenticator.verify(decision.token)
    except InvalidTokenError:
        connection.follow(connection.session.refresh_failed(decision.id, clock.wall()))
    else:
        connection.follow(connection.session.refreshed(principal, decision.id, clock.wall()))
        connection.schedule()
