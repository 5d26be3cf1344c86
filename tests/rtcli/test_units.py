from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable

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


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (units.parse_bytes, "512", 512),
        (units.parse_bytes, "2KiB", 2048),
        (units.parse_bytes, "1.5 MB", 1_500_000),
        (units.parse_byte_rate, "2KiB/s", 2048),
        (units.parse_rate, "30/m", 0.5),
        (units.parse_rate, "2 / s", 2),
        (units.parse_percent, "12.5%", 0.125),
    ],
)
def test_sizes_rates_and_shares_are_read(parse: Callable[[str], float], text: str, expected: float) -> None:
    assert parse(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *[(units.parse_bytes, text) for text in ("", "x", "-1", "1 KIB", "1k")],
        *[(units.parse_byte_rate, text) for text in ("2KiB", "/s", "2KiB/m")],
        *[(units.parse_rate, text) for text in ("2", "/s", "2/d", "-1/s", "2/ss")],
        *[(units.parse_percent, text) for text in ("50", "%", "-5%", "x%")],
    ],
)
def test_anything_else_is_refused(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match=r"write|is not"):
        parse(text)
