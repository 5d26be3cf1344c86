"""Steps of a flow: rooms, and the messages that are sent to them."""

from __future__ import annotations

import asyncio
from functools import partial

from rtcli.load.accounts.absences import JOIN_UNANSWERED
from rtcli.load.errors import LostError, StepError
from rtcli.load.net.patience import patient_timeout
from rtcli.load.scenario.steps import Join, Leave, Send, Typing
from rtcli.load.users.absence_causes import of_refused_join
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.flow.send_schedule import SendSchedule
from rtcli.load.users.room_requests import RoomRequests
from rtcli.load.users.transport import OutgoingMessage


async def join(flow: Flow, step: Join) -> None:
    """Enter a room; again when the connection is lost before the answer."""
    room, rooms, presence = flow.text(step.room), _rooms(flow), flow.user.presence
    place = int(step.label.partition(".")[0])
    while True:
        await flow.wait_connected()
        since = flow.worker.now()
        presence.join(since, room)
        try:
            await rooms.join(room, step.history, step.timeout)
        except LostError:
            continue
        except (StepError, TimeoutError) as error:
            cause = of_refused_join(error) if isinstance(error, StepError) else JOIN_UNANSWERED
            presence.join_failed(flow.worker.now(), place, room, cause)
            raise
        presence.joined(flow.worker.now(), place)
        flow.was_answered(since)
        return


async def leave(flow: Flow, step: Leave) -> None:
    """Leave a room."""
    rooms = _rooms(flow)
    await flow.wait_connected()
    await rooms.leave(flow.text(step.room), step.timeout)


def _rooms(flow: Flow) -> RoomRequests:
    rooms = flow.user.transport.rooms
    if rooms is None:
        raise StepError("unsupported", "an event stream only receives")
    return rooms


async def send(flow: Flow, step: Send) -> None:
    """Send messages: on a schedule, or one after the other."""
    point = flow.points[-1]
    if step.rate is not None:
        flow.went_on()
        point.scheduled = True
        schedule = SendSchedule(flow.context, step.label, flow.end, late=flow.take_late())
        try:
            await schedule.run(step, partial(_send, flow, step, None), spread=step.spread)
        except asyncio.CancelledError:
            flow.worker.counting.add(flow.out_of_reach.unsent(step, schedule.unsent(flow.worker.now())))
            raise
        return
    can = flow.user.transport.capabilities
    for _ in range(step.count or 1):
        if can.sends_on_connection:
            await flow.wait_connected()
        flow.went_on()
        point.sent += 1
        done = asyncio.get_running_loop().create_future() if step.ack and can.acks else None
        if not _send(flow, step, done, flow.worker.now()):
            flow.context.count("dropped_sends")
        elif done is not None:
            await _wait_for_answer(flow, done, step.timeout)
            continue
        await asyncio.sleep(0)  # many messages without an answer would hold up all other users


async def _wait_for_answer(flow: Flow, done: asyncio.Future[None], timeout: float) -> None:  # noqa: ASYNC109 - of this one request
    """Wait for the answer to a message. Raises StepError and TimeoutError, unless the role expects those."""
    try:
        async with patient_timeout(timeout):
            await done
    except StepError as error:
        if not flow.context.expects(error.code):
            raise
    except TimeoutError:
        if not flow.context.expects("no_answer"):
            raise


def _send(flow: Flow, step: Send, done: asyncio.Future[None] | None, intended: int) -> bool:
    message = OutgoingMessage(
        flow.text(step.room),
        "" if step.text is None else flow.text(step.text),
        intended,
        label=step.label,
        audit=step.audit,
        ack=step.ack,
        size=step.size,
        done=done,
    )
    if flow.user.transport.send(message):
        return True
    flow.user.send_reports.dropped(message.room, intended)
    return False


async def typing(flow: Flow, step: Typing) -> None:
    """Say that the user is typing: on a schedule, or once."""
    if step.rate is not None:
        schedule = SendSchedule(flow.context, step.label, flow.end)
        await schedule.run(step, partial(_type, flow, step), spread="even")
        return
    await flow.wait_connected()
    _type(flow, step, flow.worker.now())


def _type(flow: Flow, step: Typing, _intended: int) -> bool:
    if not flow.user.connected:
        return False
    return flow.user.transport.typing(flow.text(step.room), is_typing=step.is_typing)
