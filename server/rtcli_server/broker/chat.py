"""Publishing a chat message: the same data, key and time whichever way the message came in."""

from __future__ import annotations

import asyncio

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.messages import UserId
from rtcli.protocol.position import ROOM_PREFIX
from rtcli.protocol.publication import NEW_MESSAGE, chat_data, idempotency_key
from rtcli_server.broker.base import Broker, Published
from rtcli_server.timing.clock import Clock


def publish_message(
    broker: Broker,
    clock: Clock,
    *,
    room: str,
    content: str,
    user_id: str,
    wire_id: UserId,
    name: str,
    message_id: str | None,
    exclude: Exclusion | None = None,
) -> asyncio.Future[Published]:
    """Append a message to the log of `room`; the result is that of `Broker.publish`.

    `user_id`, `wire_id` (the same as messages carry it) and `name` are the sender's. The timestamp in the
    message is the time under which the log keeps it. With `message_id`, a repeat counts once for each user.
    """
    time_ms = clock.wall_ms()
    data = chat_data(
        room=room,
        content=content,
        sender_id=wire_id,
        sender_name=name,
        timestamp=clock.timestamp_of(time_ms),
        id=message_id,
    )
    key = None if message_id is None else idempotency_key(user_id, message_id)
    return broker.publish(ROOM_PREFIX + room, NEW_MESSAGE, data, key=key, time_ms=time_ms, exclude=exclude)
