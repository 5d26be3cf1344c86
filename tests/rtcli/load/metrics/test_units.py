"""Sizes, rates and shares: what is read, what is refused, and how they are written for people."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rtcli.load.metrics import units
from rtcli.load.metrics.names import AGGREGATIONS, METRICS, Kind, Unit
from rtcli.load.scenario.grammar.scalars import generate_rows, parse_words


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
def test_reads(parse: Callable[[str], float], text: str, expected: float) -> None:
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
def test_refuses(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match=r"write|is not"):
        parse(text)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0000432, Unit.SECONDS, "43 µs"),
        (0.00725, Unit.SECONDS, "7.25 ms"),
        (0.25, Unit.SECONDS, "250 ms"),
        (1.5, Unit.SECONDS, "1.5 s"),
        (125, Unit.SECONDS, "2 min 5 s"),
        (120, Unit.SECONDS, "2 min"),
        (0, Unit.SECONDS, "0 s"),
        (512, Unit.BYTES, "512 B"),
        (1536, Unit.BYTES, "1.5 KiB"),
        (3 * 2**30, Unit.BYTES, "3 GiB"),
        (0.9995, Unit.RATIO, "99.95 %"),
        (41837, Unit.NUMBER, "41 837"),
        (0.25, Unit.NUMBER, "0.25"),
        (1234.5, Unit.NUMBER, "1 234"),
    ],
)
def test_writes(value: float, unit: Unit, expected: str) -> None:
    assert units.format_value(value, unit).replace("\u202f", " ") == expected


def test_suggestions() -> None:
    assert units.closest("jon", ["join", "leave"]) == "; did you mean 'join'?"
    assert units.closest("xyz", ["join", "leave"]) == ""


def test_the_registry_of_metrics_is_whole() -> None:
    assert set(AGGREGATIONS) == set(Kind)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.help.endswith(".")
        assert metric.kind is not Kind.TREND or metric.unit is Unit.SECONDS
        assert metric.kind is not Kind.RATE or metric.unit is Unit.RATIO
        assert not metric.always or metric.kind is Kind.COUNTER


def test_generated_rows() -> None:
    assert generate_rows("room-{1..3}") == ("room-1", "room-2", "room-3")
    assert generate_rows("{08..10}x") == ("08x", "09x", "10x")
    assert generate_rows("{1..2}-{1..2}") == ("1-1", "1-2", "2-1", "2-2")
    assert parse_words("12") == (12, 12)
