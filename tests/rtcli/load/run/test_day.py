"""A run of a day fits: its memory is bounded, its figures are exact, and its report is small."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.load.day import DAY
from tests.support.paths import ROOT

MIB = 1024 * 1024


@pytest.mark.timeout(3600)  # with --soak; otherwise it takes a few seconds
def test_a_day_of_1000_users_in_100_rooms(soak: bool) -> None:
    """Every second of the day with --soak, else every 600th. A percentile is that of all samples, exactly."""
    command = [sys.executable, "-m", "tests.support.load.day", "1" if soak else "600"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    found = json.loads(ended.stdout)
    assert found["wrong"] == []
    assert found["received"] == found["deliveries"]
    assert found["flagged"] == found["bad"] > 0
    assert found["outcomes"] == ["inconclusive", "passed"]  # late was only the generator
    assert found["inconclusive"] == ["p(99) < 100ms"]
    assert (found["rows"], found["row_seconds"]) == (DAY // 120, 120)
    assert found["summary_bytes"] + found["html_bytes"] < 2 * MIB
    assert found["peak_rss"] < 200 * MIB
