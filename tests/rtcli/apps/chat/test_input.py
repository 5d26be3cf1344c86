from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.apps.chat.input import COMMANDS, Command, Mistake, Say, parse_line


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", None),
        ("   ", None),
        ("hello", Say("hello")),
        ("  indented", Say("  indented")),
        ("//slash", Say("/slash")),
        ("/who", Command("who", "")),
        ("/WHO", Command("who", "")),
        ("/names", Command("who", "")),
        ("/join  ops ", Command("join", "ops")),
        ("/me waves /wildly", Command("me", "waves /wildly")),
        ("/q", Command("quit", "")),
        ("/jion x", Mistake("unknown command /jion, did you mean /join?")),
        ("/zzz", Mistake("unknown command /zzz; /help lists them, and //text says /text")),
        ("/", Mistake("unknown command /; /help lists them, and //text says /text")),
        ("/join", Mistake("it goes: /join ROOM")),
    ],
)
def test_what_is_typed(line: str, meaning: object) -> None:
    assert parse_line(line) == meaning


@given(st.text())
def test_every_line_means_something_or_nothing(line: str) -> None:
    meaning = parse_line(line)
    assert isinstance(meaning, Say | Command | Mistake) or not line.strip()
    if line.startswith("/") and not line.startswith("//"):
        assert not isinstance(meaning, Say), "a command is never sent by accident"


def test_every_command_says_how_it_goes() -> None:
    assert all(text.startswith(f"/{name}") for name, text in COMMANDS.items())
