"""What a scenario allows to go wrong."""

from __future__ import annotations

import pytest

from rtcli.load.accounts.expected_errors import at_most, is_allowed
from rtcli.load.scenario.model import ExpectedError

COUNTS = {"calm": 1, "peak": 9}
TOTALS = {"calm": 50, "peak": 50}


@pytest.mark.parametrize(
    ("expected", "phase", "allowed"),
    [
        ([], "peak", False),
        ([ExpectedError("rate_limited")], "peak", True),
        ([ExpectedError("other")], "peak", False),
        ([ExpectedError("rate_limited", 0.1)], "peak", True),  # 10 of 100
        ([ExpectedError("rate_limited", 0.09)], "peak", False),
        ([ExpectedError("rate_limited", 0.18, "peak")], "peak", True),  # 9 of 50
        ([ExpectedError("rate_limited", 0.17, "peak")], "peak", False),
        ([ExpectedError("rate_limited", 1.0, "peak")], "calm", False),
        ([ExpectedError("rate_limited", 0.01), ExpectedError("rate_limited", 0.02, "calm")], "calm", True),
    ],
)
def test_an_error_is_allowed_by_its_code_its_share_and_its_phase(
    expected: list[ExpectedError],
    phase: str,
    allowed: bool,
) -> None:
    assert is_allowed(expected, "rate_limited", phase, COUNTS, TOTALS) is allowed


def test_nothing_is_a_share_of_nothing() -> None:
    assert is_allowed([ExpectedError("x", 0.5)], "x", "calm", {}, {})


def test_a_share_is_exact_and_rounded_down() -> None:
    for total in range(1, 301):
        for percent in range(101):
            assert at_most(percent / 100, total) == percent * total // 100
            assert at_most(1 - percent / 100, total) == (100 - percent) * total // 100
