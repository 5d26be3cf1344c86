from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes.command import Run
from tests.support.processes.rtcli import rtcli
from tests.support.processes.terminal import Terminal
from tests.support.servers.server_process import ServerProcess

pytestmark = pytest.mark.system

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(
        *arguments: str, width: int = 80, height: int = 24, env: dict[str, str] | None = None
    ) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments, width=width, height=height, env=env))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def say(server: ServerProcess, *texts: str, name: str = "bob") -> None:
    result = rtcli(
        "chat", "-u", server.url, "--as", name, home=server.home, stdin="".join(f"{text}\n" for text in texts)
    )
    assert result.returncode == 0, result.stderr


def test_two_people_talk(server: ServerProcess, terminal: Open, run: Run) -> None:
    say(server, "earlier")
    bob = run("chat", "--linger", "forever", "-u", server.url, "--as", "bob")
    bob.wait_for("-- joined", stream="err")
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("history 1")
    ann.wait_for("bob  earlier")
    ann.wait_for("general>")
    ann.type("hello from ann", "Enter")
    bob.wait_for("ann\thello from ann")
    ann.wait_for("ann  hello from ann")
    bob.write("hello ann\n")
    ann.wait_for("bob  hello ann")
    assert " ms  #general  2 here" in ann.screen
    assert not ann.has_alternate_screen
    ann.type("C-d")
    assert ann.exit_code == 0
    assert "bob  hello ann" in ann.everything, "what was said stays"
    assert "general>" not in ann.screen, "the input line does not"


def test_the_draft_and_every_line_survive_a_flood_and_a_new_size(
    server: ServerProcess, terminal: Open
) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann", "--history", "0")
    ann.wait_for("general>")
    ann.type("my draft")
    say(server, *(f"line {number}." for number in range(100)))
    ann.wait_for("bob  line 99.")
    ann.resize(50, 20)
    say(server, *(f"line {number}." for number in range(100, 150)))
    ann.wait_for("bob  line 149.")
    ann.resize(80, 24)
    ann.wait_for("general> my draft")
    shown = [line.split("  ")[1] for line in ann.everything.splitlines() if " bob  line" in line]
    assert shown == [f"line {number}." for number in range(150)]
    ann.type("Enter")
    ann.wait_for("ann  my draft")


def test_a_killed_server_that_starts_again(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    server.kill()
    ann.wait_for("-- lost (1006), retrying in")
    ann.type("said offline", "Enter")
    ann.wait_for("1 unsent")
    ann.wait_for("reconnecting")
    server.start_now()
    ann.wait_for("-- back after")
    ann.wait_for("-- could not resume #general")
    ann.wait_for("ann  said offline")
    assert "unsent" not in ann.screen
    ann.type("/quit", "Enter")
    assert ann.exit_code == 0


def test_what_was_said_while_away(terminal: Open, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, f"sqlite:{tmp_path}/log.db", development=True)
    server.start_now()
    try:
        ann = terminal("chat", "-u", server.url, "--as", "ann")
        ann.wait_for("general>")
        server.kill()
        ann.wait_for("-- lost")
        # Bob is quicker: his message arrives before or after Ann's client is connected again; she gets both.
        server.start_now()
        say(server, "are you there?")
        ann.wait_for("-- back after")
        ann.wait_for("bob  are you there?")
        assert "could not resume" not in ann.everything
    finally:
        server.kill()


def test_leaving_with_something_unsent_says_what(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    server.kill()
    ann.wait_for("-- lost")
    ann.type("never arrives", "Enter")
    ann.wait_for("1 unsent")
    ann.type("C-d")
    assert ann.exit_code == 3
    assert "-- not sent to #general: never arrives" in ann.everything


def test_ctrl_c_clears_then_asks_then_leaves(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    ann.type("draft")
    ann.wait_for("general> draft")
    ann.type("C-c")
    ann.type("C-c")
    ann.wait_for("Press Ctrl-C again")
    assert "draft" not in ann.screen
    ann.type("C-c")
    assert ann.exit_code == 130


def test_rooms_with_spaces_and_signs(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann", "--room", "#ops")
    ann.wait_for("── ##ops · 1 here")
    ann.type("/join #ops", "Enter")
    ann.wait_for("── #ops · 1 here")
    ann.type("/join ops", "Enter")
    ann.wait_for("-- you talk in #ops now")
    ann.type("/join ##ops", "Enter")
    ann.wait_for("-- you talk in ##ops now")
    ann.type("/join C# & F#", "Enter")
    ann.wait_for("── #C# & F# · 1 here")
    ann.type("/join Cafe\u0301", "Enter")
    ann.wait_for("── #Caf\u00e9 · 1 here")
    ann.type("/rooms", "Enter")
    ann.wait_for("-- you are in: ##ops, #ops, #C# & F#, *#Caf\u00e9")
    ann.type("/part Cafe\u0301", "Enter")
    ann.wait_for("-- left #Caf\u00e9")
    ann.type("/join  two  spaces", "Enter")
    ann.wait_for("cannot be a room: up to 128 printable characters")


def test_commands(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    ann.type("/jion x", "Enter")
    ann.wait_for("-- unknown command /jion, did you mean /join?")
    ann.type("/join ops", "Enter")
    ann.wait_for("ops>")
    ann.type("/who", "Enter")
    ann.wait_for("-- in #ops: ann (you)")
    ann.type("/rooms", "Enter")
    ann.wait_for("-- you are in: #general, *#ops")
    ann.type("//part is a command", "Enter")
    ann.wait_for("#ops ann  /part is a command")
    ann.type("/me waves", "Enter")
    ann.wait_for("* ann waves")
    ann.type("/part", "Enter")
    ann.wait_for("-- left #ops")
    ann.wait_for("general>")
    ann.type("/status", "Enter")
    ann.wait_for("-- connected")
    ann.type("/join a~b", "Enter")
    ann.wait_for("cannot be a room")
    ann.type("/history 1", "Enter")
    ann.wait_for("the last 0 of #general")
    ann.type("/hel", "Tab")
    ann.wait_for("general> /help")
    ann.type("Enter")
    ann.wait_for("-- /quit")
    ann.type("/typing off", "Enter")
    ann.wait_for("-- others do not see that you type")
    ann.type("/ping", "Enter", "/reconnect", "Enter")
    ann.wait_for("-- back after")
    assert "unknown" not in ann.everything.replace("unknown command /jion", "")


def test_typing_is_seen_in_the_status_line_alone(server: ServerProcess, terminal: Open, run: Run) -> None:
    bob = run("chat", "--listen", "--json", "--typing-events", "-u", server.url, "--as", "bob")
    bob.wait_for('"joined"')
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    ann.type("hm")
    bob.wait_for('"state":"active"')
    ann.type("C-c")
    bob.wait_for('"state":"done"')
    assert "typing" not in ann.everything


def test_several_lines_are_one_message(server: ServerProcess, terminal: Open, run: Run) -> None:
    bob = run("chat", "--listen", "--json", "-u", server.url, "--as", "bob")
    bob.wait_for('"joined"')
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    ann.type("one", "M-Enter", "two", "Enter")
    bob.wait_for('"text":"one\\ntwo"')
    ann.wait_for("| two")


def test_foreign_text_is_harmless_on_the_screen(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann", "--history", "0")
    ann.wait_for("general>")
    say(server, "\x1b[2J\x1b]0;owned\x07\r\u202e\x9b31m evil")
    ann.wait_for("bob  \\x1b[2J\\x1b]0;owned\\x07\\r\\u202e\\x9b31m evil")


def test_what_was_typed_is_kept_for_its_user_alone(
    server: ServerProcess, terminal: Open, tmp_path: Path
) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    ann.type("remember me", "Enter")
    ann.wait_for("ann  remember me")
    ann.type("C-d")
    assert ann.exit_code == 0
    ann.close()
    history = tmp_path / "state" / "rtcli" / "chat-history"
    assert history.stat().st_mode & 0o777 == 0o600
    again = terminal("chat", "-u", server.url, "--as", "ann")
    again.wait_for("general>")
    again.type("Up")
    again.wait_for("general> remember me")


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"LANG": "C", "LC_ALL": "C"}, {"TERM": "vt100"}])
@pytest.mark.parametrize("width", [20, 80])
def test_odd_terminals(server: ServerProcess, terminal: Open, env: dict[str, str], width: int) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann", width=width, env=env)
    ann.wait_for("general>")
    ann.type("hello", "Enter")
    ann.wait_for("ann  hello")
    ann.type("C-d")
    assert ann.exit_code == 0


@pytest.mark.parametrize(("arguments", "env"), [(("--plain",), {}), ((), {"TERM": "dumb"})])
def test_lines_only(
    server: ServerProcess, terminal: Open, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann", *arguments, env=env)
    ann.wait_for("#general, 1 here: you")
    ann.type("hello", "Enter")
    ann.wait_for("ann  hello")
    say(server, "hi ann")
    ann.wait_for("bob  hi ann")
    ann.type("/who", "Enter")
    ann.wait_for("-- in #general: ann (you)")
    ann.type("C-d")
    assert ann.exit_code == 0


def test_with_the_server_down(terminal: Open) -> None:
    ann = terminal("chat", "-u", ":1")
    assert ann.exit_code == 3
    ann.wait_for("error: 127.0.0.1:1 refused the connection")
    ann.wait_for("hint: is the server up?")


def test_a_terminated_chat_leaves_the_terminal_as_it_was(server: ServerProcess, terminal: Open) -> None:
    ann = terminal("chat", "-u", server.url, "--as", "ann")
    ann.wait_for("general>")
    (chat,) = [
        p
        for p in psutil.process_iter(["cmdline"])
        if (p.info["cmdline"] or [])[-4:] == ["-u", server.url, "--as", "ann"]
    ]
    chat.terminate()
    assert ann.exit_code == 143
    ann.type("typed afterwards")
    ann.wait_for("typed afterwards")
