"""What each command of a client does, once the session has allowed it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from rtcli.protocol.codes import ErrorCode, GapReason, unavailable_text
from rtcli.protocol.messages import (
    Ack,
    AckData,
    RoomData,
    RoomJoined,
    RoomJoinedData,
    RoomLeft,
    ServerMessage,
)
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.auth.authenticator import NOT_READY_TEXT, InvalidTokenError, NotReadyError
from rtcli_server.broker import BrokerUnavailableError, Published
from rtcli_server.broker.chat import publish_message
from rtcli_server.connections.hub import Closable
from rtcli_server.connections.send_budget import memory_of
from rtcli_server.connections.websocket_writer import WebSocketServices, WebSocketWriter
from rtcli_server.delivery.channel import State, Subscriber, Subscription
from rtcli_server.delivery.recovery import RecoveryRequest, RecoveryResult, begin, read_missed
from rtcli_server.presence.announcements import PendingJoin
from rtcli_server.presence.rooms import member_infos
from rtcli_server.presence.service import RoomMembers
from rtcli_server.session import replies
from rtcli_server.session.decisions import CheckToken, Decision, Join, Leave, Publish, SetTyping
from rtcli_server.session.session import Session


class Sender(Subscriber, Closable, Protocol):
    """The connection that a command came from, as far as commands use it."""

    services: WebSocketServices
    session: Session
    writer: WebSocketWriter
    user_id: str
    wire_id: int | str
    name: str
    subscriptions: dict[str, Subscription]  # by channel
    outstanding: int  # publishes that the log has not answered
    outstanding_bytes: int  # and their size
    closing: bool  # a close frame was sent
    gone: bool  # the transport is lost

    def send(self, message: ServerMessage) -> None:
        """Send one message."""
        ...

    def follow(self, decisions: Sequence[Decision]) -> None:
        """Carry out decisions of the session."""
        ...

    def schedule(self) -> None:
        """Schedule the session's next timer."""
        ...

    def update_reading(self) -> None:
        """Stop or go on reading, after a change of what is outstanding."""
        ...


def refuse(
    sender: Sender,
    code: ErrorCode,
    message_id: str | None,
    text: str | None = None,
    retry_after_ms: int | None = None,
) -> None:
    """Answer a message with an error; `text` replaces the standard text of the code."""
    wall = sender.services.clock.wall()
    sender.follow([replies.error(code, message_id, wall, text=text, retry_after_ms=retry_after_ms)])


# -- joining and leaving -----------------------------------------------------------------------------------


async def join(sender: Sender, decision: Join) -> None:
    """Enter a room: hold live delivery, read what was missed, reply, write it, go live."""
    services, room, user_id = sender.services, decision.room, sender.user_id
    subscription = services.fanout.open(ROOM_PREFIX + room, sender)
    limit = decision.history if decision.since is None else services.max_replay
    pending = services.rooms.begin_join(room, user_id)
    try:
        members = await services.rooms.enter(room, user_id, sender.name, subscription)
        request = RecoveryRequest(
            subscription.channel, decision.since, 0 if decision.since_invalid else limit
        )
        piece_bytes = services.send_budget.piece_bytes
        resumed = (await read_missed(services.broker.history, [request], piece_bytes=piece_bytes))[0]
    except Exception as error:
        services.rooms.leave(room, user_id, subscription)
        if not isinstance(error, BrokerUnavailableError):
            raise
        refuse(sender, ErrorCode.UNAVAILABLE, decision.id)
    else:
        if sender.closing:
            services.rooms.lose(room, user_id, subscription)
        else:
            _enter(sender, decision, subscription, resumed, members)
    finally:
        subscription.channel.release()
    try:
        await _go_live(sender, subscription, pending)
    finally:
        services.rooms.end_join(pending)


async def _go_live(sender: Sender, subscription: Subscription, pending: PendingJoin) -> None:
    """Wait until the replay is written, and tell then what happened in the room during the join."""

    def announce() -> None:
        sender.services.rooms.end_join(pending)
        if subscription.state is not State.LEFT:
            for text in pending.texts:
                sender.writer.send(text)
        announced.set()

    announced = asyncio.Event()
    if subscription.state is State.LAGGING:
        slow_consumers = sender.services.slow_consumers
        slow_consumers.when_written(subscription, announce)
        slow_consumers.replay(sender, sender.subscriptions.values())
        await announced.wait()
    else:
        announce()


def _enter(
    sender: Sender,
    decision: Join,
    subscription: Subscription,
    resumed: RecoveryResult,
    members: RoomMembers,
) -> None:
    services = sender.services
    before = sender.subscriptions.get(subscription.channel.name)
    sender.subscriptions[subscription.channel.name] = subscription
    if before is not None:
        services.rooms.leave(decision.room, sender.user_id, before)
    sender.session.joined(decision)
    sender.send(_room_joined(services, decision, resumed, members))
    sender.writer.flush()
    begin(services.fanout, subscription, resumed)


def _room_joined(
    services: WebSocketServices, decision: Join, resumed: RecoveryResult, members: RoomMembers
) -> RoomJoined:
    resumes = decision.since is not None or decision.since_invalid
    failure = GapReason.INVALID if decision.since_invalid else resumed.failure
    if resumes:
        services.metrics.resumed(failure)
    data = RoomJoinedData(
        room=decision.spelling,
        position=str(resumed.top),
        replayed=resumed.total,
        members=member_infos(members),
        member_count=members.total,
        recovered=failure is None if resumes else None,
        reason=failure,
    )
    return RoomJoined(data=data, id=decision.id, timestamp=services.clock.timestamp())


def leave(sender: Sender, decision: Leave) -> None:
    """Leave a room, and reply."""
    services = sender.services
    subscription = sender.subscriptions.pop(ROOM_PREFIX + decision.room, None)
    if subscription is not None:
        services.rooms.leave(decision.room, sender.user_id, subscription)
    data = RoomData(room=decision.spelling)
    sender.send(RoomLeft(data=data, id=decision.id, timestamp=services.clock.timestamp()))


# -- publishing --------------------------------------------------------------------------------------------


def publish(sender: Sender, decision: Publish) -> None:
    """Append to the room's log; acknowledge once it is there."""
    spelling, message_id = decision.spelling, decision.id
    services = sender.services
    future = publish_message(
        services.broker,
        services.clock,
        room=decision.room,
        content=decision.content,
        user_id=sender.user_id,
        wire_id=sender.wire_id,
        name=sender.name,
        message_id=message_id,
    )
    if future.done():
        if message_id is None and future.exception() is None:
            services.metrics.published += 1  # without an id there is no repeat, and no acknowledgement
        else:
            _published(sender, spelling, message_id, future)
        return
    size = memory_of(decision.content)
    sender.outstanding += 1
    sender.outstanding_bytes += size
    services.metrics.outstanding += 1
    sender.update_reading()
    since = services.clock.now()
    future.add_done_callback(partial(_published_later, sender, spelling, message_id, size=size, since=since))


def _published_later(
    sender: Sender,
    spelling: str,
    message_id: str | None,
    future: asyncio.Future[Published],
    *,
    size: int,
    since: float,
) -> None:
    metrics = sender.services.metrics
    sender.outstanding -= 1
    sender.outstanding_bytes -= size
    metrics.outstanding -= 1
    metrics.publish_seconds.observe(sender.services.clock.now() - since)
    sender.update_reading()
    _published(sender, spelling, message_id, future)


def _published(
    sender: Sender, spelling: str, message_id: str | None, future: asyncio.Future[Published]
) -> None:
    sender.services.metrics.count(future)
    if sender.gone or future.cancelled():
        return
    error = future.exception()
    if error is not None:
        maybe = isinstance(error, BrokerUnavailableError) and error.maybe_published
        text = unavailable_text(maybe_published=maybe, has_id=message_id is not None)
        refuse(sender, ErrorCode.UNAVAILABLE, message_id, text)
    elif message_id is not None:
        (epoch, offset), duplicate = future.result()
        data = AckData(room=spelling, offset=offset, epoch=epoch, duplicate=duplicate)
        sender.send(Ack(data=data, id=message_id, timestamp=sender.services.clock.timestamp()))


# -- typing, tokens ---------------------------------------------------------------------------------------


def set_typing(sender: Sender, decision: SetTyping) -> None:
    """Announce typing to the other users of the room."""
    sender.services.rooms.set_typing(decision.room, sender.user_id, sender.name, is_typing=decision.is_typing)


async def check_token(sender: Sender, decision: CheckToken) -> None:
    """Verify a new token, and hand the result to the session."""
    clock = sender.services.clock
    try:
        principal = await sender.services.authenticator.verify(decision.token)
    except NotReadyError as error:
        retry_after_ms = int(error.retry_after_s * 1000) + sender.services.retry_after_ms()
        refuse(sender, ErrorCode.UNAVAILABLE, decision.id, NOT_READY_TEXT, retry_after_ms)
    except InvalidTokenError:
        sender.follow(sender.session.refresh_failed(decision.id, clock.wall()))
    else:
        sender.follow(sender.session.refreshed(principal, decision.id, clock.wall()))
        sender.schedule()
