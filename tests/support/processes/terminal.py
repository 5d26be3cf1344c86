"""A real terminal: a tmux of its own, whose screen and scrollback can be read, and keys sent to it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes.rtcli import RTCLI, environment
from tests.support.waiting import wait_until


class Terminal:
    """Runs one command of ours. When it has ended, its exit code stands in `exit_code`."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        width: int = 80,
        height: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        number = len(list(home.glob("terminal-*")))  # a server of tmux that is about to end keeps its socket
        own = home / f"terminal-{number}"
        own.mkdir()
        self._socket = own / "tmux"
        self._status = own / "status"
        status = f"echo $? > {shlex.quote(str(self._status))}"
        # The shell outlives Ctrl-C, which goes to it, too.
        command = f"trap : INT; {shlex.join([RTCLI, *arguments])}; {status}; exec sleep 600"
        self._environment = environment(home, **(env or {}))
        # With a configuration of nothing, so that a person's own changes nothing.
        size = ("-x", str(width), "-y", str(height))
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            *size,
            f"export TERM={shlex.quote(self._environment['TERM'])}; {command}",
        )

    def _tmux(self, *arguments: str) -> str:
        result = subprocess.run(
            ["tmux", "-S", str(self._socket), *arguments],
            capture_output=True,
            env=self._environment,
            check=True,
        )
        return result.stdout.decode()

    @property
    def screen(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    @property
    def everything(self) -> str:
        """The scrollback and the screen, long lines joined."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-5000")

    @property
    def has_alternate_screen(self) -> bool:
        return self._tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def wait_for(self, text: str) -> None:
        """Wait until `text` is on the screen or above it."""
        try:
            wait_until(lambda: text in self.everything, repr(text))
        except AssertionError:
            raise AssertionError(f"no {text!r} in:\n{self.everything}") from None

    def type(self, *keys: str) -> None:
        """Press keys by their tmux names; anything else is typed as it is."""
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    @property
    def exit_code(self) -> int:
        """Wait for the end of the command and return its exit code."""
        wait_until(lambda: self._status.exists() and bool(self._status.read_text().strip()), "the end")
        return int(self._status.read_text())

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self._socket), "kill-server"], capture_output=True, check=False)
