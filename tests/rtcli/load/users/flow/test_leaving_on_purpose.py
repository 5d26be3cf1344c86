"""Who is not connected is not away with leave: `kill`, `disconnect` and `cut` excuse only what they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from rtcli.load.accounts.absences import NO_ANSWER
from rtcli.load.accounts.presence import State
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.core.planned_sends import FlowPoint
from rtcli.load.scenario.steps import Disconnect, Kill, KillStep, Send
from rtcli.load.users.flow import connection, messages
from rtcli.load.users.flow.actions import ACTIONS
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.user import User, make_user
from tests.support.load.contexts import user_context
from tests.support.load.workers import background

TEXT = """
    name: leaving
    phases: [{ name: run, for: 1h }]
    roles:
      reader: { users: 2, flow: [connect, { join: a }, { send: { room: a, count: 500, ack: false } }] }
"""
HOUR_US = 3_600_000_000
Step = Callable[[Flow], Awaitable[None]]


@pytest.fixture
async def user() -> AsyncIterator[User]:
    """A user that has begun to connect."""
    async with user_context(TEXT) as context:
        worker, role = context.worker, context.role
        made = make_user(worker, role, 0, 0, adapter_for(worker.scenario, role), end=worker.base + HOUR_US)
        made.presence.attempt(worker.base)
        yield made


def flow_of(user: User) -> Flow:
    return Flow(user, user.context.worker.base + HOUR_US, stays=True, actions=ACTIONS)


async def kill(flow: Flow) -> None:
    await connection.kill(flow, KillStep(how=Kill.RST))


async def disconnect(flow: Flow) -> None:
    await connection.disconnect(flow, Disconnect())


async def cut(flow: Flow) -> None:
    flow.user.cut(Kill.RST)


def let_in(user: User) -> None:
    """The user is connected, and the server has let it in."""
    user.connected = True
    user.presence.confirmed(user.context.worker.now())


@pytest.mark.parametrize("leave", [kill, disconnect, cut])
async def test_who_is_still_connecting_stays_planned(user: User, leave: Step) -> None:
    await leave(flow_of(user))
    assert user.presence.state is State.TRYING
    user.presence.finish(user.context.worker.base + HOUR_US, grace=1_000_000)
    (group,) = user.context.worker.attendance.groups.all()
    assert (group.key.kind, group.key.code) == ("absent", NO_ANSWER.code)


@pytest.mark.parametrize("leave", [kill, disconnect, cut])
async def test_who_was_lost_stays_absent(user: User, leave: Step) -> None:
    let_in(user)
    user.connected = False
    user.presence.lost(user.context.worker.now(), NO_ANSWER)
    await leave(flow_of(user))
    assert user.presence.is_absent


@pytest.mark.parametrize("leave", [kill, disconnect, cut])
async def test_who_is_there_goes_with_leave(user: User, leave: Step) -> None:
    let_in(user)
    await leave(flow_of(user))
    assert user.presence.state is State.AWAY


async def test_a_cut_leaves_alone_who_is_waiting_to_be_let_in(user: User) -> None:
    """The socket is open and nothing has been said: taking it away would excuse a server that never does."""
    user.connected = True
    user._is_opening = True
    user.cut(Kill.RST)
    assert user.connected
    assert user.presence.state is State.TRYING


async def test_messages_without_answers_let_others_have_their_turn(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(user)
    sent: list[object] = []

    def send(message: object) -> bool:
        sent.append(message)
        return True

    monkeypatch.setattr(user.transport, "send", send)
    flow = flow_of(user)
    step = cast("Send", user.context.role.flow[2])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while len(sent) < 500:
            turns += 1
            await asyncio.sleep(0)

    async with background(others()):
        flow.points.append(FlowPoint(user.context.role.flow, index=2))
        await messages.send(flow, step)
    assert len(sent) == 500
    assert turns >= 100
