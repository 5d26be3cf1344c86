"""The three accounts: sums over roles, shares, and what is missing and not allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.results.accounts import (
    DeliveriesAccount,
    PhaseAttendance,
    RoleAttendance,
    SendsAccount,
    UsersAccount,
)
from tests.support.load.sample_results import (
    ABSENT,
    INTERRUPTED,
    MISSED,
    PORTS,
    UNSENT,
    accounts,
    users_account,
)


def test_users_are_added_up_over_roles() -> None:
    users = users_account(ABSENT, INTERRUPTED, present=4)
    assert (users.planned, users.present, users.interrupted) == (10, 4, 2)
    assert (UsersAccount().planned, UsersAccount().present) == (0, 0)


@pytest.mark.parametrize(
    ("planned", "present", "required", "share", "is_short"),
    [
        (100.0, 99.0, 0.99, 0.99, False),
        (100.0, 98.9, 0.99, 0.989, True),
        (0.0, 0.0, 0.99, 1.0, False),
        (100.0, 0.0, None, 0.0, False),
    ],
)
def test_a_role_is_short_below_what_is_required(
    planned: float, present: float, required: float | None, share: float, is_short: bool
) -> None:
    role = RoleAttendance("reader", 1, 1, planned_s=planned, present_s=present, required=required)
    assert role.share == pytest.approx(share)
    assert role.is_short is is_short
    assert PhaseAttendance("storm", planned, present).share == pytest.approx(share)


def test_what_is_missing_is_in_the_order_of_the_accounts_without_what_is_allowed_or_not_judged() -> None:
    found = accounts(
        users_account(ABSENT, INTERRUPTED),
        SendsAccount(shortfalls=(UNSENT,)),
        DeliveriesAccount(shortfalls=(MISSED,)),
    )
    assert found.shortfalls == [ABSENT, UNSENT, MISSED]
    assert replace(found, sends=replace(found.sends, judged=False)).shortfalls == [ABSENT, MISSED]


def test_what_the_generator_caused_is_known_by_its_code_or_its_mark() -> None:
    assert PORTS.by_generator
    assert not PORTS.is_bug
    assert replace(ABSENT, own=True).by_generator
    assert not ABSENT.by_generator
    bug = replace(PORTS, code="generator_bug")
    assert bug.by_generator
    assert bug.is_bug
