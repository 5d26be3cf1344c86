"""The accounts in words: the line of all three, and who is missing, when and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.results.accounts import DeliveriesAccount, SendsAccount, UsersAccount
from rtcli.load.results.model import RunResult
from rtcli.load.results.wording import (
    accounts_line,
    causes,
    counted,
    floor_percent,
    main_cause,
    sends_details,
    shortfall_sentence,
    shortfall_when,
    shortfall_who,
    shortfall_why,
    users_details,
)
from tests.support.load.sample_results import (
    ABSENT,
    INTERRUPTED,
    MISSED,
    PORTS,
    UNSENT,
    accounts,
    passing,
    result,
    short,
    users_account,
)

NO_SENDS = SendsAccount(planned=False)
UNJUDGED = DeliveriesAccount(judged=False)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (passing(), "10 of 10 users · 10 of 10 messages · 100 of 100 deliveries"),
        (short(), "4 of 10 users (2 interrupted) · 3 of 10 messages · 100 of 160 deliveries"),
        (
            result(accounted=accounts(
                replace(users_account(ABSENT, present=4), judged=False),
                SendsAccount(1500, 1400, 1300, excused=150, shortfalls=(
                    replace(UNSENT, count=50, allowed=True),)),
                DeliveriesAccount(1, 1),
            )),
            (
                "4 of 10 users (not judged) · 1 300 of 1 500 messages (50 allowed, 150 excused) · "
                "1 of 1 delivery"
            ),
        ),
        (
            result(accounted=accounts(
                sends=SendsAccount(10, 10, 10, unconfirmed=10, acks=False), deliveries=UNJUDGED)),
            "10 of 10 users · 10 of 10 messages (10 without acknowledgement) · deliveries not judged",
        ),
        (result(accounted=accounts(sends=NO_SENDS)), "10 of 10 users · no messages planned"),
        (
            result(accounted=accounts(deliveries=DeliveriesAccount(160, 100, 60, (
                replace(MISSED, allowed=True),)))),
            "10 of 10 users · 10 of 10 messages · 100 of 160 deliveries (60 allowed)",
        ),
    ],
)  # fmt: skip
def test_the_line_of_the_accounts(run: RunResult, line: str) -> None:
    assert run.accounts is not None
    assert accounts_line(run.accounts) == line


def test_numbers_have_their_nouns() -> None:
    assert [counted(count, "users") for count in (0, 1, 1200)] == ["0 users", "1 user", "1 200 users"]
    assert counted(1, "deliveries") == "1 delivery"


def test_a_share_is_never_rounded_up() -> None:
    assert [floor_percent(share) for share in (1.0, 0.99999, 0.9876543, 0.0)] == [
        "100 %", "99.99 %", "98.76 %", "0 %"
    ]  # fmt: skip


def test_causes_are_added_up_over_roles_and_phases() -> None:
    again = replace(ABSENT, role="writer", count=4, phase="storm")
    assert causes([INTERRUPTED, ABSENT, again]) == (
        "the server answered 503 to the handshake (10), the connection broke off (1006) (2)"
    )
    assert main_cause([INTERRUPTED, ABSENT, again]) == (
        "the server answered 503 to the handshake and other causes"
    )
    back = replace(ABSENT, cause="the connection broke off (1006); then connection refused")
    assert main_cause([back]) == "the connection broke off (1006)"
    assert main_cause([]) == "unknown"


@pytest.mark.parametrize(
    ("cause", "code", "said"),
    [
        ("no answer to the handshake", "no_answer", "no answer to the handshake (no_answer)"),
        ("refused: rate_limited", "rate_limited", "refused: rate_limited"),
        ("", "error", "error"),
        ("", "", "unknown"),
        ("several causes", "", "several causes"),
    ],
)
def test_the_code_is_told_where_the_cause_does_not_have_it(cause: str, code: str, said: str) -> None:
    assert shortfall_why(replace(ABSENT, cause=cause, code=code)) == said


def test_times_and_users_are_told_as_far_as_they_are_known() -> None:
    assert shortfall_when(MISSED) == "at 500 ms"
    assert shortfall_when(replace(MISSED, first=None, phase="storm")) == "phase storm"
    assert shortfall_when(replace(MISSED, last=0.5)) == "at 500 ms"
    assert shortfall_who(MISSED) == "reader"
    assert shortfall_who(replace(ABSENT, count=5)).endswith(", reader 5")
    assert shortfall_who(replace(UNSENT, who=ABSENT.who)).endswith(", reader 5 and others")
    assert shortfall_sentence(PORTS) == (
        "3 users absent (reader): the load generator has no ports left (generator_ports); "
        "reader 9 and 2 more; not the server's fault"
    )


def test_details_name_what_is_not_zero() -> None:
    assert sends_details(
        SendsAccount(20, 15, 10, {"b": 1, "a": 2}, unanswered=1, not_sendable=2, excused=4)
    ) == ("20 due, 15 sent, 10 accepted, 3 refused (a 2, b 1), 1 unanswered, 2 not sendable, 4 excused")
    assert users_details(UsersAccount()) == "0 planned, 0 present to the end"
    assert users_details(users_account(INTERRUPTED)) == (
        "10 planned, 10 present to the end, 2 interrupted, 100 % of their time"
    )
