from __future__ import annotations

import pytest

from rtcli.cli.app import COMMANDS
from rtcli.cli.suggestions import command_for, for_extra, spelled_out


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("tail", "tail-events"), ("subscribe", "tail-events"), ("pub", "publish"), ("server", "serve"),
        ("wscat", "ws"), ("comp", "completion"), ("s", None), ("c", None), ("", None), ("xyz", None),
    ],
)  # fmt: skip
def test_a_command_by_another_name(word: str, meant: str | None) -> None:
    assert command_for(word, COMMANDS) == meant


def test_every_suggestion_is_a_command() -> None:
    for word in ("follow", "send", "run", "bench", "websocat", "talk"):
        assert command_for(word, COMMANDS) in COMMANDS


@pytest.mark.parametrize(
    ("path", "extra", "meant"),
    [
        ("rtcli chat", "general", "rtcli chat --room general"),
        ("rtcli chat", "a'b", "rtcli chat --room 'a'\"'\"'b'"),
        ("rtcli serve", "9000", "rtcli serve --port 9000"),
        ("rtcli serve", "here", ""),
        ("rtcli demo", "x", ""),
        ("rtcli", "x", ""),
    ],
)
def test_an_argument_that_is_an_option(path: str, extra: str, meant: str) -> None:
    assert for_extra(path, extra) == meant


@pytest.mark.parametrize(
    ("arguments", "spelled"),
    [
        (["help"], ["--help"]),
        (["help", "chat"], ["chat", "--help"]),
        (["help", "token", "create"], ["token", "create", "--help"]),
        (["version"], ["--version"]),
        (["--json", "version"], ["--json", "--version"]),
        (["version", "--json"], ["--version", "--json"]),
        (["chat", "help"], ["chat", "help"]),
        (["publish", "version"], ["publish", "version"]),
        (["version", "x"], ["version", "x"]),
        ([], []),
        (["-h"], ["-h"]),
    ],
)
def test_words_for_options(arguments: list[str], spelled: list[str]) -> None:
    assert spelled_out(arguments) == spelled
