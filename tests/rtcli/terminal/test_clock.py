from __future__ import annotations

import re

import pytest

from rtcli.terminal.clock import clock_time


def test_the_time_of_day_here() -> None:
    assert re.fullmatch(r"\d\d:\d\d:\d\d", clock_time("2026-05-01T09:30:00.250Z"))
    assert (
        clock_time("2026-05-01T09:30:00Z")
        == clock_time("2026-05-01T09:30:00")
        == clock_time("2026-05-01T11:30:00+02:00")
    )


@pytest.mark.parametrize("timestamp", ["", "yesterday", "\x1b[2J", "9999-99-99T00:00:00Z"])
def test_a_timestamp_that_is_none_is_shown_as_it_is(timestamp: str) -> None:
    assert "\x1b" not in clock_time(timestamp)
