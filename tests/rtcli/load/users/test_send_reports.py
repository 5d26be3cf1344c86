"""What a message that was not accepted counts as: where its user is says who is to blame."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rtcli.load.accounts.absences import Cause
from rtcli.load.accounts.presence import Presence
from rtcli.load.accounts.sends import UnsentGroup
from rtcli.load.accounts.sends_account import RunSends
from rtcli.load.results.accounts import SendsAccount
from rtcli.load.users.context import UserContext
from rtcli.load.users.send_reports import SendReports
from rtcli.load.users.transport import UnacceptedMessage
from tests.support.load.contexts import user_context

TEXT = """
    name: parts
    phases: [{ name: run, for: 1h }, { name: drain, for: 1h, publish: stop }]
    roles:
      user:
        users: 2
        expect_close: 4001
        flow: [connect, { join: lobby }, { send: { room: lobby, rate: 1/s } }]
"""
REFUSED = Cause("http_503", "the server answered 503 to the handshake")


class Case:
    """A user that is connected, and the reports on its messages."""

    def __init__(self, user: UserContext) -> None:
        self.user = user
        self.now = user.worker.base
        self.presence: Presence = user.worker.attendance.begin(
            user.name, user.role.name, self.now + 3_600_000_000, rooms=tuple
        )
        self.presence.attempt(self.now)
        self.presence.confirmed(self.now)
        self.reports = SendReports(user, self.presence)
        self.message = UnacceptedMessage("lobby", self.now + 10, 1, self.now + 20)

    def account(self) -> SendsAccount:
        worker = self.user.worker
        return RunSends(worker.scenario, [worker.sends.export()], worker.base).account()

    def groups(self) -> list[UnsentGroup]:
        return self.user.worker.sends.export().groups

    def unsent(self) -> tuple[str, str, str]:
        """Outcome, code and cause of the only message."""
        (group,) = self.groups()
        assert group.count == 1
        assert self.account().excused == 0
        return group.key.outcome, group.key.code, group.key.cause

    def excused(self) -> int:
        """How many are excused; no message is unsent."""
        assert self.groups() == []
        return self.account().excused


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    async with user_context(TEXT) as user:
        yield Case(user)


async def test_a_refused_message_has_the_code_of_the_error(case: Case) -> None:
    case.reports.refused(case.message, "rate_limited")
    assert case.unsent() == ("refused", "rate_limited", "refused: rate_limited")
    assert case.account().sent == 1


async def test_what_was_due_while_absent_has_the_cause_of_the_absence(case: Case) -> None:
    case.presence.lost(case.now, REFUSED)
    case.reports.dropped("lobby", case.now + 10)
    assert case.unsent() == ("not_sendable", "http_503", f"not connected: {REFUSED.text}")
    assert case.account().sent == 0


async def test_what_was_due_while_away_with_leave_is_excused(case: Case) -> None:
    case.presence.asked_away(case.now)
    case.reports.dropped("lobby", case.now + 10)
    assert case.excused() == 1
    case.presence.attempt(case.now + 20)
    case.presence.failed(case.now + 30, REFUSED)  # from now on it is absent
    case.reports.dropped("lobby", case.now + 40)
    assert case.account().not_sendable == 1


async def test_an_answer_that_is_lost_with_the_connection(case: Case) -> None:
    case.reports.unanswered(case.message, 1006, closing=False)
    cause = "the connection broke off (1006) before the acknowledgement"
    assert case.unsent() == ("unanswered", "close_1006", cause)


async def test_an_answer_that_the_user_waits_no_longer_for(case: Case) -> None:
    case.presence.flow_failed(case.now, REFUSED)
    case.reports.unanswered(case.message, 1000, closing=True)
    assert case.unsent() == ("unanswered", "no_answer", "no acknowledgement came")


@pytest.mark.parametrize(
    ("closed", "closing", "away", "over"),
    [
        (None, False, True, False),  # killed, or cut
        (1000, True, True, False),  # disconnected
        (4001, False, False, False),  # as expected
        (1000, True, False, True),  # the stay is over
        (None, False, False, True),  # and nobody answered the goodbye
    ],
)
async def test_an_answer_that_the_scenario_prevents_is_excused(
    case: Case, *, closed: int | None, closing: bool, away: bool, over: bool
) -> None:
    if away:
        case.presence.asked_away(case.now)
    if over:
        case.presence.finish(case.now + 30, grace=1)
    case.reports.unanswered(case.message, closed, closing=closing)
    assert case.excused() == 1
    assert case.account().sent == 1


async def test_a_connection_that_is_lost_after_the_phases_excuses_nothing(case: Case) -> None:
    case.presence.finish(case.now + 30, grace=0)
    case.reports.unanswered(case.message, 1006, closing=False)
    assert case.unsent()[:2] == ("unanswered", "close_1006")


async def test_the_end_of_the_run_excuses_only_what_was_sent_just_before(case: Case) -> None:
    sent = case.message.sent or 0
    case.reports.never_answered(case.message, "", sent + 999_999)
    assert case.excused() == 1
    case.reports.never_answered(case.message, "", sent + 1_000_000)
    case.reports.never_answered(case.message, "too_many", sent)
    assert case.account().unanswered == 1
    assert case.account().refused == {"too_many": 1}


async def test_nothing_is_due_where_nothing_is_published(case: Case) -> None:
    late = case.user.worker.microseconds(3_700)
    case.reports.dropped("lobby", late)
    case.reports.failed(case.message._replace(due=late, sent=None), REFUSED)
    assert case.excused() == 2


async def test_what_is_sent_where_nothing_was_due_is_judged(case: Case) -> None:
    late = case.user.worker.microseconds(3_700)
    case.reports.refused(case.message._replace(due=late, sent=late), "rate_limited")
    assert case.unsent() == ("refused", "rate_limited", "refused: rate_limited")


async def test_a_request_that_could_not_be_made_was_not_sent(case: Case) -> None:
    case.reports.failed(case.message._replace(sent=None), REFUSED)
    assert case.unsent()[0] == "not_sendable"


async def test_what_the_generator_itself_caused_is_told(case: Case) -> None:
    case.reports.failed(case.message, Cause("generator_connections", "too many", own=True))
    (shortfall,) = case.account().shortfalls
    assert shortfall.by_generator
