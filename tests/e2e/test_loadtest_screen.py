"""The live view and the report of a load test on a real terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtcli.load.results.summary import encode
from tests.support.load.sample_results import short
from tests.support.processes.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.system

SCENARIO = """
name: watched
phases:
  - { name: gather, for: 500ms, publish: stop }
  - { name: busy, for: 60s }
roles:
  reader: { users: 5, flow: [connect, { join: lobby }, hold] }
  writer: { users: 2, flow: [connect, { join: lobby }, { send: { room: lobby, rate: 10/s } }] }
"""


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "watched.yaml").write_text(SCENARIO)
    where = (str(tmp_path / "watched.yaml"), "--out", str(tmp_path / "results"))
    terminal = Terminal(tmp_path, "loadtest", *where, "--serve", width=100)
    yield terminal
    terminal.close()


def test_it_shows_the_run_and_ctrl_c_ends_it_with_its_results(screen: Terminal, tmp_path: Path) -> None:
    wait_until(lambda: re.search(r"fan-out +p50", screen.screen) is not None, "a latency on the screen")
    shown = screen.screen
    assert re.search(r"phase +busy +\d+ of 60 s", shown)
    assert re.search(r"users +7 of 7, 7 connections", shown)
    assert re.search(r"messages +(\d+) of \1 accepted, \d+/s sent, \d+/s received", shown)
    assert re.search(r"fan-out +p50 [\d.]+ .?s p99", shown)
    assert re.search(r"schedule lag +p50", shown)
    assert re.search(r"wrong +nothing so far", shown)
    screen.type("C-c")
    assert screen.exit_code == 130
    assert "INTERRUPTED  watched: this is what was seen until then." in screen.everything
    assert "schedule lag" not in screen.screen, "the view goes when the report comes"
    assert (tmp_path / "results" / "report.html").exists()


def test_a_report_is_folded_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(encode(short()))
    terminal = Terminal(tmp_path, "report", "show", str(tmp_path / "summary.json"), width=60, height=50)
    try:
        assert terminal.exit_code == 98
        lines = terminal.screen.splitlines()
    finally:
        terminal.close()
    where = lines.index("  6 users absent  reader: the server answered 503 to the")
    assert lines[where + 1] == "    handshake (http_503)"
    assert lines[where + 2] == "      from 120 ms to 3.4 s, phase steady, 1 min 6 s"
