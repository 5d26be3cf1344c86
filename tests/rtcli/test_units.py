from __future__ import annotations

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20us", 0.00002),
        ("500ms", 0.5),
        ("10s", 10),
        ("1.5 s", 1.5),
        ("2m", 120),
        ("1.5h", 5400),
        ("7d", 604_800),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)
    assert re.search(units.DURATION_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "-1s",
        "1  s",
        "1 2s",
        " 3s",
        "1s\n",
        "1e3s",
        "1_000s",
        "nan",
        "inf",
        "infs",
        "1s2m",
        "٣s",
        "10S",
        "9" * 10 + "s",
        "1e309s",
    ],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


def test_a_bare_number_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="write 10s"):
        units.parse_duration("10")


@given(st.text())
def test_no_text_does_anything_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert units.parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.012, "12 ms"),
        (0.71, "0.7 s"),
        (3.2, "3 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (math.inf, "forever"),
    ],
)
def test_durations_are_said_in_words(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text
