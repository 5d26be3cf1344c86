"""Requests to enter and leave rooms: written, confirmed, refused, or counted as done without an answer."""

from __future__ import annotations

import asyncio

import pytest

from rtcli.load.adapters import Joined, Left, WsAdapter
from rtcli.load.adapters.json_ws import JsonWs
from rtcli.load.adapters.rtcli_ws import RtcliWs
from rtcli.load.errors import LostError, StepError
from rtcli.load.users.context import UNCONFIRMED_US, UserContext
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.pending import PendingReplies
from rtcli.load.users.room_requests import RoomRequests
from tests.support.load.contexts import user_context

UNCONFIRMED = """
    name: plain
    target:
      protocol: json
      frames: { join: { in: "${room}" }, send: "${text}", data: { match: { a: 1 } } }
    phases: [{ name: run, for: 1h }]
    roles: { user: { users: 1, flow: [connect, { join: lobby }, hold] } }
"""


class Wire:
    """Keeps what is written, and plays the transport's part for leaves."""

    def __init__(self, user: UserContext, adapter: WsAdapter, *, is_open: bool = True) -> None:
        self.frames: list[bytes] = []
        self.memberships = Memberships(user)
        self.pending = PendingReplies()
        self.is_open = is_open
        self.left = asyncio.Event()
        self.rooms = RoomRequests(
            user, self.memberships, adapter, self.pending, write=self.write, on_left=self.on_left
        )

    def write(self, frame: bytes) -> bool:
        if self.is_open:
            self.frames.append(frame)
        return self.is_open

    def on_left(self, event: Left, now: int) -> None:
        assert self.memberships.confirm_leave(event.room, now)
        self.left.set()

    def confirm(self, room: str) -> None:
        self.memberships.confirm(Joined(room, None, None), 1_000)
        self.pending.confirm(room)


async def test_a_join_waits_for_its_confirmation_and_is_not_repeated() -> None:
    async with user_context() as user:
        wire = Wire(user, RtcliWs())
        joining = asyncio.create_task(wire.rooms.join("lobby", 3, 5))
        await asyncio.sleep(0)
        assert not joining.done()
        wire.confirm("lobby")
        await joining
        await wire.rooms.join("lobby", 0, 5)
        assert wire.frames == [b'{"type":"join_room","data":{"room":"lobby","history":3},"id":"q1"}']


async def test_a_refused_join_ends_the_membership() -> None:
    async with user_context() as user:
        wire = Wire(user, RtcliWs())
        joining = asyncio.create_task(wire.rooms.join("lobby", 0, 5))
        await asyncio.sleep(0)
        wire.pending.refuse("q1", "forbidden")
        with pytest.raises(StepError, match="forbidden"):
            await joining
        assert wire.memberships.get("lobby") is None


async def test_without_a_connection_a_request_is_lost() -> None:
    async with user_context() as user:
        wire = Wire(user, RtcliWs(), is_open=False)
        with pytest.raises(LostError):
            await wire.rooms.join("lobby", 0, 5)
        assert wire.memberships.get("lobby") is not None  # the loss itself ends it
        await wire.rooms.leave("hall", 5)  # never entered
        assert wire.frames == []


async def test_where_nothing_is_confirmed_a_join_and_a_leave_count_after_a_second() -> None:
    async with user_context(UNCONFIRMED) as user:
        target = user.worker.scenario.target
        assert target.frames is not None
        wire = Wire(user, JsonWs(target, target.frames, 1))
        await wire.rooms.join("lobby", 0, 5)
        member = wire.memberships.get("lobby")
        assert member is not None
        await user.worker.timers.sleep_until(member.asked + 900_000)
        was_in = member.is_in
        await user.worker.timers.sleep_until(user.worker.now() + UNCONFIRMED_US)
        assert (was_in, member.is_in) == (False, True)
        await wire.rooms.leave("lobby", 5)
        assert not wire.left.is_set()
        await asyncio.wait_for(wire.left.wait(), 10)
