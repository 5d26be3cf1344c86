"""Steps of a flow: rooms, and the messages that are sent to them."""

from __future__ import annotations

import asyncio
from functools import partial

from rtcli.load.errors import LostError, StepError
from rtcli.load.scenario.steps import Join, Leave, Send, Typing
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.flow.send_schedule import SendSchedule
from rtcli.load.users.transport import Message
from rtcli.load.users.websocket import WsUser


async def join(flow: Flow, step: Join) -> None:
    """Enter a room; over again when the connection is lost meanwhile."""
    room = flow.text(step.room)
    while True:
        user = _ws(flow)
        await user.wait_connected()
        try:
            await user.join(room, step.history, step.timeout)
        except LostError:
            continue
        return


async def leave(flow: Flow, step: Leave) -> None:
    """Leave a room."""
    user = _ws(flow)
    await user.wait_connected()
    await user.leave(flow.text(step.room), step.timeout)


async def send(flow: Flow, step: Send) -> None:
    """Send: one by one, or by a timetable."""
    user = flow.user
    if step.rate is not None:
        await SendSchedule(flow.worker, user, step.label, flow.end).run(step, partial(_send_due, flow))
        return
    answers = not isinstance(user, WsUser) or user.adapter.acks
    for _ in range(step.count or 1):
        if isinstance(user, WsUser):
            await user.wait_connected()
        done = asyncio.get_running_loop().create_future() if step.ack and answers else None
        if not _send_one(flow, step, flow.worker.now(), done):
            flow.worker.count(user.role, "dropped_sends")
        elif done is not None:
            async with asyncio.timeout(step.timeout):
                await done


def _send_due(flow: Flow, step: Send | Typing, intended: int) -> bool:
    if isinstance(step, Typing):
        return _type(flow, step)
    return _send_one(flow, step, intended, None)


def _send_one(flow: Flow, step: Send, intended: int, done: asyncio.Future[None] | None) -> bool:
    message = Message(
        flow.text(step.room),
        "" if step.text is None else flow.text(step.text),
        intended,
        label=step.label,
        audit=step.audit,
        ack=step.ack,
        size=step.size,
        done=done,
    )
    return flow.user.send(message)


async def typing(flow: Flow, step: Typing) -> None:
    """Type, once or by a timetable."""
    user = _ws(flow)
    if step.rate is not None:
        await SendSchedule(flow.worker, user, step.label, flow.end).run(step, partial(_send_due, flow))
        return
    await user.wait_connected()
    _type(flow, step)


def _type(flow: Flow, step: Typing) -> bool:
    user = _ws(flow)
    if not user.connected:
        return False
    user.typing(flow.text(step.room), is_typing=step.is_typing)
    return True


def _ws(flow: Flow) -> WsUser:
    if not isinstance(flow.user, WsUser):
        raise StepError("unsupported", "an event stream only receives")
    return flow.user
