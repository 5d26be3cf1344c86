"""The values of metrics as text for people."""

from __future__ import annotations

import pytest

from rtcli.load.metrics.formatting import format_value
from rtcli.load.metrics.names import Unit


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
def test_values_are_written_with_their_unit(value: float, unit: Unit, expected: str) -> None:
    assert format_value(value, unit).replace("\u202f", " ") == expected
