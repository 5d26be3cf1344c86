from __future__ import annotations

import math

import pytest
import typer

from rtcli.cli import options


@pytest.mark.parametrize(("value", "seconds"), [("500ms", 0.5), (" 3s ", 3), (2.0, 2.0)])
def test_a_duration_is_read_and_a_default_is_left(value: str | float, seconds: float) -> None:
    assert options.duration(value) == seconds


@pytest.mark.parametrize("text", ["", "10", "-1s", "٣s", "1s2m"])
def test_a_wrong_duration_is_a_mistake_in_the_option(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a duration"):
        options.duration(text)


def test_for_ever_is_a_duration_where_it_is_allowed() -> None:
    assert options.duration_or_forever("forever") == math.inf
    assert options.duration_or_forever("2s") == 2
