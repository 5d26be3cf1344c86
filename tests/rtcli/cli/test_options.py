from __future__ import annotations

import contextlib
import math

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from rtcli.cli import options


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("2m", 120), ("1.5h", 5400), ("7d", 604_800), ("0s", 0), (" 3s ", 3)],
)
def test_durations(text: str, seconds: float) -> None:
    assert options.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "-1s",
        "1 s",
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
        options.parse_duration(text)
    with pytest.raises(typer.BadParameter):
        options.duration(text)


def test_a_bare_number_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="write 10s"):
        options.parse_duration("10")


@given(st.text())
def test_no_text_does_anything_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert options.parse_duration(text) >= 0


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
    assert options.format_duration(seconds) == text


def test_for_ever_is_a_duration_where_it_is_allowed() -> None:
    assert options.duration_or_forever("forever") == math.inf
    assert options.duration_or_forever("2s") == 2
