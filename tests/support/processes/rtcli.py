"""Starting the installed command as a user would: in a home of its own, with real pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes.forked import fork_server
from tests.support.unexpected_logs import NEVER_RETRIEVED

IGNORING_INT = ("bash", "-c", "trap '' INT; exec \"$@\"", "-")
PYTHON = sys.executable
RTCLI = str(Path(sysconfig.get_path("scripts")) / "rtcli")
INSTALLED = (RTCLI,)
FOR_THE_INTERPRETER = ("PYTHON", "LANG", "LC_", "COVERAGE")


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a person with an empty home directory."""
    state = {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    return {**os.environ, **state, **extra}


def rtcli(
    *arguments: str,
    home: Path,
    stdin: str | bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float = 30,
    cwd: Path | None = None,
    command: Sequence[str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end with `stdin` in a pipe: in a fork, unless another `command` is given.

    `INSTALLED` is the command in a process of its own; so is one whose interpreter is told something by
    `env`.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    variables, directory = environment(home, **(env or {})), cwd or home
    if command is None and not any(name.startswith(FOR_THE_INTERPRETER) for name in env or ()):
        result = fork_server().run(
            [RTCLI, *arguments], stdin=data, environment=variables, directory=directory, timeout_s=timeout
        )
    else:
        result = subprocess.run(
            [*(command or INSTALLED), *arguments],
            input=data,
            capture_output=True,
            env=variables,
            timeout=timeout,
            cwd=directory,
            check=False,
        )
    assert NEVER_RETRIEVED.encode() not in result.stderr, result.stderr
    return result


def start(
    *arguments: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    ignore_sigint: bool = False,
    own_group: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the command, all three streams in pipes; `ignore_sigint` as in a background job of a script.

    `own_group`: in a group of processes of its own, to which signals can be sent.
    """
    return subprocess.Popen(
        [*(IGNORING_INT if ignore_sigint else ()), RTCLI, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, **(env or {})),
        cwd=home,
        process_group=0 if own_group else None,
    )


def ok(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the stdout of a command that had nothing to complain of."""
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


def failed(done: subprocess.CompletedProcess[bytes], exit_code: int) -> str:
    """Return the stderr of a command that has to end with this code, an error and a hint."""
    text = done.stderr.decode()
    assert done.returncode == exit_code, text
    assert "Traceback" not in text
    error, hint = text.splitlines()[-2:]
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    return text
