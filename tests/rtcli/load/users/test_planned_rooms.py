"""The rooms in which a user should be: those it is in, and those that its flow surely joins next."""

from __future__ import annotations

import socket
import time

import pytest

from rtcli.client.endpoint import parse_endpoint
from rtcli.load.accounts.absence import RoomByPlan
from rtcli.load.core.context import Credentials, WorkerContext, WorkerSpec
from rtcli.load.core.failures import Failures
from rtcli.load.core.latches import Latches
from rtcli.load.scenario.steps import Connect, Join, Step, walk
from rtcli.load.users.context import UserContext
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.planned_rooms import PlannedRooms
from tests.support.load.runs import scenario

CHOOSES = """
    [connect, { choose: [{ weight: 1, steps: [{ join: a }] }, { weight: 2, steps: [{ join: b }] }] }, hold]
"""


def planned(flow: str, at: type[Step], number: int = 0) -> tuple[PlannedRooms, Memberships]:
    """The rooms of the third user, whose flow is at the step with this number of a kind."""
    what = scenario(f"""
        name: rooms
        phases: [{{ name: run, for: 10s }}]
        roles: {{ r: {{ users: 9, flow: {flow.strip()} }} }}
        data:
          once: {{ gen: "once-{{1..9}}", pick: sequence }}
          anew: {{ gen: "anew-{{1..9}}", each: use }}
        """)
    endpoint = parse_endpoint("http://127.0.0.1:1")
    spec = WorkerSpec(what, endpoint, "127.0.0.1", socket.AF_INET, Credentials(), 1, time.time())
    worker = WorkerContext(spec, 0, Latches(lambda _report: None), Failures(lambda _failure: None))
    user = UserContext(worker, what.roles["r"], 2, 2)
    memberships = Memberships(user)
    rooms = PlannedRooms(user, memberships)
    user.step = [step for step in walk(what.roles["r"].flow) if isinstance(step, at)][number]
    return rooms, memberships


@pytest.mark.parametrize(
    ("flow", "at", "rooms"),
    [
        ("[connect, { join: a }, { join: b }, hold]", Connect, {"a": 0, "b": 0}),
        ("[connect, { join: a }, { join: b }, hold]", Join, {"a": 0, "b": 0}),
        ("[connect, { join: a }, { think: 2s }, { join: b }, hold]", Connect, {"a": 0, "b": 2_000_000}),
        ("[connect, { join: a }, { think: exp(2s) }, { join: b }, hold]", Connect, {"a": 0}),
        ("[connect, { loop: [{ join: a }, { hold: 1s }, { leave: a }] }]", Connect, {"a": 0}),
        ('[connect, { join: "${once}" }, { join: "${anew}" }, hold]', Connect, {"once-3": 0}),
        ('[connect, { join: "x-${mod(user.number, 2)}" }, hold]', Connect, {"x-0": 0}),
        ('[connect, { join: "x-${int(1, 900)}" }, hold]', Connect, {}),
        (
            CHOOSES,
            Connect,
            {},
        ),
        ("[connect, { join: a }, disconnect, connect, { join: b }, hold]", Connect, {"a": 0}),
    ],
)
async def test_joins_that_surely_follow(flow: str, at: type[Step], rooms: dict[str, int]) -> None:
    found, _ = planned(flow, at)
    assert {room.room: room.after for room in found()} == rooms
    assert not any(room.joined for room in found())


async def test_rooms_that_the_user_is_in() -> None:
    found, memberships = planned("[connect, { join: a }, { join: b }, hold]", Join, 1)
    member = memberships.request("a", websocket=True)
    member.joined = 1
    assert set(found()) == {RoomByPlan("a", joined=True), RoomByPlan("b")}
    member.leaving = 2
    assert set(found()) == {RoomByPlan("b")}
