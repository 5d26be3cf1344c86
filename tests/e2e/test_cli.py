from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from rtcli import __version__
from rtcli.cli.app import COMMANDS
from tests.support.processes.rtcli import INSTALLED, PYTHON, RTCLI, environment, rtcli

EXTRA = "got unexpected extra argument(s) "
HEAVY = ("asyncio", "httpx", "websockets", "prompt_toolkit", "rich", "msgspec", "pydantic", "fastapi")


def test_version(tmp_path: Path) -> None:
    for option in ("--version", "-V"):
        result = rtcli(option, home=tmp_path, command=INSTALLED)
        assert (result.returncode, result.stdout.decode(), result.stderr) == (
            0,
            f"rtcli {__version__}\n",
            b"",
        )
    record = json.loads(rtcli("--version", "--json", home=tmp_path, command=INSTALLED).stdout)
    assert record == {"type": "version", "version": __version__}


def test_the_version_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, rtcli.cli.app as c; c.main(['--version']); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    result = subprocess.run([PYTHON, "-c", code], capture_output=True, env=environment(tmp_path), check=True)
    assert result.stdout.decode().splitlines()[-1] == "[]"


def test_a_server_imports_no_http_client_before_it_asks_somebody(tmp_path: Path) -> None:
    """Only a JWKS and webhooks need one; it takes a seventh of the start."""
    code = "import sys, rtcli.apps.serve; print('httpx' in sys.modules)"
    result = subprocess.run([PYTHON, "-c", code], capture_output=True, env=environment(tmp_path), check=True)
    assert result.stdout.decode() == "False\n"


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)])
def test_help_lists_every_command_with_a_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = rtcli(*arguments, home=tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    for name, text in COMMANDS.items():
        assert any(line.split(None, 1) == [name, text] for line in result.stdout.decode().splitlines()), name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--nonsense",), "no such option: --nonsense"),
        (("srve",), "Did you mean 'serve'?"),
        (("\x1b[31m",), "no such command"),
    ],
)
def test_a_usage_error_is_two_lines_and_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    result = rtcli(*arguments, home=tmp_path)
    error, hint = result.stderr.decode().splitlines()
    assert (result.returncode, result.stdout) == (2, b"")
    assert error.startswith("error: ")
    assert says in error
    assert hint == "hint: see: rtcli -h"
    assert b"\x1b" not in result.stderr


MEANT = [
    ("tail", "no such command 'tail'", "did you mean: rtcli tail-events"),
    (
        "chat general",
        EXTRA + "(general)",
        "did you mean: rtcli chat --room general",
    ),
    (
        "chat my room",
        EXTRA + "(my room)",
        "did you mean: rtcli chat --room 'my room'",
    ),
    ("serve 9000", EXTRA + "(9000)", "did you mean: rtcli serve --port 9000"),
    ("serve here", EXTRA + "(here)", "see: rtcli serve -h"),
    ("tail-events general", "'general' is not a URL", "a room: rtcli tail-events --room general"),
    ("chat -r", "option '-r' requires an argument", "see: rtcli chat -h"),
    ("help nonsense", "no such command 'nonsense'", "see: rtcli -h"),
]


def test_what_was_probably_meant(tmp_path: Path) -> None:
    for arguments, error, hint in MEANT:
        result = rtcli(*arguments.split(), home=tmp_path)
        assert (result.returncode, result.stdout) == (2, b"")
        assert result.stderr.decode() == f"error: {error}\nhint: {hint}\n"


TRIED_FIRST = [
    (("token",), ("token", "-h")),
    (("scenario",), ("scenario", "-h")),
    (("report",), ("report", "-h")),
    (("help",), ("-h",)),
    (("help", "chat"), ("chat", "-h")),
    (("help", "token", "create"), ("token", "create", "-h")),
    (("version",), ("--version",)),
    (("version", "--json"), ("--version", "--json")),
]


def test_words_that_a_person_tries_first(tmp_path: Path) -> None:
    for pair in TRIED_FIRST:
        tried, meant = (rtcli(*arguments, home=tmp_path) for arguments in pair)
        assert (tried.returncode, tried.stderr) == (0, b"")
        assert tried.stdout == meant.stdout != b""


def test_a_usage_error_is_one_json_line_with_json(tmp_path: Path) -> None:
    result = rtcli("--json", "nonsense", home=tmp_path)
    record = json.loads(result.stderr)
    assert result.returncode == record["exit"] == 2
    assert next(iter(record)) == "type"


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [RTCLI, "--help"], stdout=writer, stderr=subprocess.PIPE, env=environment(tmp_path), check=False
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize(
    "arguments", [("token", "inspect", "-"), ("revoke", "-"), ("kick", "7", "--token-file", "-")]
)
def test_a_token_from_stdin_that_is_closed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = rtcli(*arguments, home=tmp_path, command=("sh", "-c", 'exec "$@" <&-', "-", RTCLI))
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"error: stdin: bad file descriptor\nhint: "), result.stderr


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_reason_for_a_traceback(tmp_path: Path, redirect: str) -> None:
    result = subprocess.run(
        ["bash", "-c", f"{RTCLI} --version {redirect}"],
        capture_output=True,
        env=environment(tmp_path),
        check=False,
    )
    assert b"Traceback" not in result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize(
    "env", [{"LANG": "C"}, {"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}, {"COLUMNS": "20"}]
)
def test_odd_surroundings(tmp_path: Path, env: dict[str, str]) -> None:
    result = rtcli("--help", home=tmp_path, env=env)
    assert result.returncode == 0
    assert b"\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("rtcli ta", ["tail-events"]),
        ("rtcli token ", ["create", "inspect", "keygen"]),
        ("rtcli chat --his", ["--history"]),
    ],
)
def test_bash_completes_commands_and_options(tmp_path: Path, words: str, offers: list[str]) -> None:
    script = f"""
        PATH={Path(RTCLI).parent}:$PATH
        source <(rtcli completion bash)
        IFS=' ' read -ra COMP_WORDS <<<"{words}"
        [[ "{words}" == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _rtcli_completion
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, env=environment(tmp_path), check=True
    )
    assert result.stdout.decode().split() == offers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_and_nothing_is_installed(tmp_path: Path, shell: str) -> None:
    result = rtcli("completion", shell, home=tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"_RTCLI_COMPLETE" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*COMMANDS])
def test_every_command_has_help_with_an_example(tmp_path: Path, name: str) -> None:
    result = rtcli(name, "-h", home=tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    text = result.stdout.decode()
    assert text.startswith(f"Usage: rtcli {name}")
    assert COMMANDS[name]
    if "Commands:" not in text:
        assert "Examples:" in text
        assert f"rtcli {name}" in text.partition("Examples:")[2]
