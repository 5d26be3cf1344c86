"""What absent users did not come to: counted by the plan, and estimated when that is too much."""

from __future__ import annotations

import pytest

from rtcli.load.accounts import sends
from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.sends import UnsentGroup
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.core.planned_sends import FlowPoint
from rtcli.load.users.flow.out_of_reach import OutOfReach
from rtcli.load.users.user import make_user
from tests.support.load.contexts import user_context

TEXT = """
    name: hour
    phases: [{ name: run, for: 1h }]
    roles:
      writer: { users: 20, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 1/s } }] }
"""
REFUSED = Cause("http_503", "the server answered 503 to the handshake")


async def not_reached(users: int) -> list[UnsentGroup]:
    """What users who never get in do not come to in an hour."""
    async with user_context(TEXT) as context:
        worker, role = context.worker, context.role
        end = worker.microseconds(3_600)
        for number in range(users):
            user = make_user(worker, role, number, number, adapter_for(worker.scenario, role), end=end)
            user.presence.attempt(worker.base)
            user.presence.failed(worker.base + 1, REFUSED)
            flow = OutOfReach(user, [FlowPoint(role.flow, index=2)], end)
            for _ in flow.over(never_back=True):
                pass
        return worker.sends.export().groups


async def test_everything_is_counted_where_that_is_not_too_much() -> None:
    (group,) = await not_reached(2)
    assert group.count == pytest.approx(2 * 3_600, rel=0.05)
    assert group.room == "lobby"
    assert "estimate" not in group.key.cause


async def test_the_rest_is_estimated_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sends, "MAX_PLANNED", 5_000)  # of 72 000
    estimated, counted = await not_reached(20)
    assert counted.count == 5_000
    assert estimated.count + counted.count == pytest.approx(20 * 3_600, rel=0.05)
    assert estimated.key.code == counted.key.code == "http_503"
    assert estimated.key.cause == f"{counted.key.cause} (an estimate)"
