"""What the ends of attempts and connections mean for the attendance of a user."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from rtcli.load.accounts.presence import Presence, State
from rtcli.load.errors import ConnectError, LostError
from rtcli.load.users.context import UserContext
from rtcli.load.users.presence_reports import PresenceReports
from tests.support.load.contexts import user_context

TEXT = """
    name: hall
    phases: [{ name: run, for: 1h }]
    roles: { reader: { users: 1, expect_close: [1001], flow: [connect, { join: lobby }, hold] } }
    """


class Case:
    """A user, its presence, and its reports."""

    def __init__(self, user: UserContext) -> None:
        self.user = user
        self.presence: Presence = user.worker.attendance.begin(
            user.name, "reader", user.worker.microseconds(3600), rooms=tuple
        )
        self.reports = PresenceReports(user, self.presence, stream=False)

    @property
    def now(self) -> int:
        return self.user.worker.now()

    def connect(self) -> None:
        with self.reports.attempt():
            self.reports.opened()

    def refuse(self, code: int) -> None:
        """The server closes at once."""
        with contextlib.suppress(ConnectError), self.reports.attempt():
            self.reports.opened()
            self.reports.closed(code, self.now)
            raise ConnectError("lost", "", retryable=True) from LostError()

    def enter(self) -> None:
        self.presence.join(self.now, "lobby")
        self.presence.joined(self.now, 2)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    async with user_context(TEXT) as user:
        yield Case(user)


def state(case: Case) -> tuple[State, str]:
    cause = case.presence.absence_cause
    return case.presence.state, "" if cause is None else cause.code


async def test_an_expected_close_takes_away_who_was_in_its_room(case: Case) -> None:
    case.connect()
    case.enter()
    case.reports.closed(1001, case.now)
    assert state(case) == (State.AWAY, "")
    case.refuse(1001)
    assert state(case) == (State.ABSENT, "close_1001")


async def test_an_expected_close_that_keeps_out_is_a_refusal(case: Case) -> None:
    case.refuse(1001)
    assert state(case) == (State.ABSENT, "close_1001")


async def test_an_expected_close_before_the_first_room_is_a_refusal(case: Case) -> None:
    case.connect()
    case.presence.join(case.now, "lobby")
    case.reports.closed(1001, case.now)
    assert state(case) == (State.ABSENT, "close_1001")


async def test_another_close_is_a_loss(case: Case) -> None:
    case.connect()
    case.enter()
    case.reports.closed(1000, case.now)
    assert state(case) == (State.ABSENT, "close_1000")


@pytest.mark.parametrize("code", [1001, 1011])
async def test_a_close_while_rooms_are_entered_again_ends_the_attempt(case: Case, code: int) -> None:
    case.connect()
    case.enter()
    case.presence.asked_away(case.now)
    case.refuse(code)
    assert state(case) == (State.ABSENT, f"close_{code}")
