from __future__ import annotations

import os

import pytest

from rtcli.terminal.console import Console, console


def test_colour_is_asked_of_each_stream_and_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Console()
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 2)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert (own.use_color("stdout"), own.use_color("stderr")) == (False, True)
    monkeypatch.setenv("NO_COLOR", "")
    assert own.use_color("stderr"), "an empty NO_COLOR does not count"
    monkeypatch.setenv("NO_COLOR", "1")
    assert not own.use_color("stderr")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not own.use_color("stderr")
    own.color = "always"
    assert own.style("x", "red") == "\x1b[31mx\x1b[0m"
    own.color = "never"
    assert own.style("x", "red") == "x"


def test_there_is_one_console() -> None:
    assert isinstance(console, Console)
