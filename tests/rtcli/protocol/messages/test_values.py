from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.protocol.messages.values import (
    MAX_SAFE_INTEGER,
    format_timestamp,
    format_timestamp_ms,
    user_id_to_wire,
)


@pytest.mark.parametrize(
    ("unix_s", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1.5, "1970-01-01T00:00:01.500Z"),
        (1_777_627_800.25, "2026-05-01T09:30:00.250Z"),
        (0.9999, "1970-01-01T00:00:00.999Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_timestamps(unix_s: float, text: str) -> None:
    assert format_timestamp(unix_s) == text


@given(st.integers(0, 253_402_300_799_999))
def test_a_timestamp_says_the_millisecond(unix_ms: int) -> None:
    text = format_timestamp_ms(unix_ms)
    assert len(text) == 24
    parsed = datetime.fromisoformat(text)
    assert parsed.tzinfo == UTC
    since = parsed - datetime(1970, 1, 1, tzinfo=UTC)
    assert since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000 == unix_ms


@pytest.mark.parametrize("number", [0, 7, -5, 10, MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER])
def test_integers_travel_as_numbers(number: int) -> None:
    assert user_id_to_wire(str(number)) == number


@pytest.mark.parametrize(
    "sub",
    [
        "alice", "", "-", "007", "00", "-0", "+7", "7.0", "1e3", " 7", "7 ", "7\n", "٧", "--5", "1_000", "²",
        str(MAX_SAFE_INTEGER + 1), str(-MAX_SAFE_INTEGER - 1), "9" * 40,
        "5f0c4bde-7d6e-4f44-b2f7-1c3c9d1f0a11",
    ],
)  # fmt: skip
def test_anything_else_travels_as_text(sub: str) -> None:
    assert user_id_to_wire(sub) == sub


@given(st.text() | st.integers().map(str))
def test_two_users_are_never_one(sub: str) -> None:
    assert str(user_id_to_wire(sub)) == sub
