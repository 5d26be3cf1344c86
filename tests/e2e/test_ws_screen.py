"""`rtcli ws` in a real terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fakes.echo_websocket import EchoServer, echo_websocket
from tests.support.processes.terminal import Terminal

pytestmark = pytest.mark.system

Open = Callable[..., Terminal]


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with echo_websocket() as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(*arguments: str, env: dict[str, str] | None = None) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments, env=env))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_a_conversation(echo: EchoServer, terminal: Open) -> None:
    ann = terminal("ws", echo.url)
    ann.wait_for("-- connected to ws://")
    ann.type("hello", "Enter")
    ann.wait_for("> hello\n< hello")
    ann.type("/ping", "Enter")
    ann.wait_for("-- pong after ")
    ann.type("/pin", "Enter")
    ann.wait_for("not sent: it has an unknown command /pin; did you mean /ping?")
    ann.type("/binary 00ff1b", "Enter")
    ann.wait_for("< binary, 3 bytes  00ff1b")
    ann.type("my draft")
    ann.wait_for("> my draft")
    ann.type("C-c", "//x", "Enter")
    ann.wait_for("< /x")
    ann.type("/close 4000 so long", "Enter")
    assert ann.exit_code == 0
    assert echo.received == [["hello", b"\x00\xff\x1b", "/x"]]
    assert echo.closed == [(4000, "so long")]
    assert "< hello" in ann.everything, "what came stays"
    assert not ann.has_alternate_screen


def test_what_comes_cannot_do_anything_to_the_terminal(echo: EchoServer, terminal: Open) -> None:
    ann = terminal("ws", echo.url, "-v", "--on-open", "\x1b[2J\x1b]0;title\x07\u202eevil\nsecond\tline")
    ann.wait_for("< \\x1b[2J\\x1b]0;title\\x07\\u202eevil\n  second\\tline")
    ann.wait_for("text, ")
    ann.type("close 1008 \u202eno", "Enter")
    ann.wait_for("error: 127.0.0.1")
    ann.wait_for("refused this connection (1008 \\u202eno)")
    assert ann.exit_code == 4


def test_the_draft_survives_a_flood_and_a_loss(echo: EchoServer, terminal: Open) -> None:
    ann = terminal("ws", echo.url, "--reconnect")
    ann.wait_for("-- connected")
    ann.type("fragments " + "x" * 40, "Enter")
    ann.type("my draft")
    ann.wait_for("> my draft")
    ann.type("C-c", "drop", "Enter", "my draft")
    ann.wait_for("-- lost (1006), retrying in")
    ann.wait_for("-- back after")
    ann.wait_for("> my draft")
    ann.type("Enter")
    ann.wait_for("< my draft")
    ann.type("C-d")
    assert ann.exit_code == 0


@pytest.mark.parametrize(("keys", "code"), [("C-d", 0), ("C-c", 130)])
def test_leaving(echo: EchoServer, terminal: Open, keys: str, code: int) -> None:
    ann = terminal("ws", echo.url, "--close", "4000")
    ann.wait_for("-- connected")
    ann.type(keys)
    assert ann.exit_code == code
    assert echo.closed == [(4000, "")]


def test_a_terminal_that_can_only_print_lines(echo: EchoServer, terminal: Open) -> None:
    ann = terminal("ws", echo.url, env={"TERM": "dumb"})
    ann.wait_for("-- connected")
    ann.type("hello", "Enter")
    ann.wait_for("hello\nhello")
    ann.type("/close 4000 bye", "Enter")
    assert ann.exit_code == 0
    assert echo.closed == [(4000, "bye")]
