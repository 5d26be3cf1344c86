"""A user whom the load generator starts too late: what its schedule sends late, and what it never came to."""

from __future__ import annotations

from rtcli.load.accounts.absences import Cause
from rtcli.load.adapters.registry import adapter_for
from rtcli.load.users.flow.actions import ACTIONS
from rtcli.load.users.flow.runner import Flow
from rtcli.load.users.user import make_user
from tests.support.load.contexts import user_context

REFUSED = Cause("http_503", "the server answered 503 to the handshake")
LATE = 10_000_000  # µs


async def late_of_schedule(*, absent_s: float | None) -> float:
    """By how much a schedule sends late, in seconds: the user was back so long ago from an absence."""
    async with user_context() as context:
        worker, role = context.worker, context.role
        end = worker.microseconds(3_600)
        user = make_user(worker, role, 0, 0, adapter_for(worker.scenario, role), end=end)
        now = worker.now()
        if absent_s is not None:
            back = now - round(absent_s * 1e6)
            user.presence.attempt(back - 5_000_000)
            user.presence.failed(back - 4_000_000, REFUSED)
            user.presence.attempt(back)
            user.presence.confirmed(now)
        flow = Flow(user, end, stays=True, actions=ACTIONS, late=LATE)
        found = flow.take_late()
        assert flow.take_late() == 0, "of the first schedule alone"
        return found / 1e6


async def test_a_schedule_sends_late_what_was_due_since_its_user_should_have_begun() -> None:
    assert await late_of_schedule(absent_s=None) == 10


async def test_what_was_due_in_an_absence_is_not_sent_as_well() -> None:
    """It is accounted for as not sendable already: it was due once, and would be counted twice."""
    assert 2 <= await late_of_schedule(absent_s=2) < 10


async def test_an_absence_long_before_takes_nothing_away() -> None:
    assert await late_of_schedule(absent_s=60) == 10
