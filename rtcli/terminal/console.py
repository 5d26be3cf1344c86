"""The process's streams and environment: printing, TTYs, colours, file descriptors.

This is the only module that prints, and the only one that asks what stdin, stdout and stderr are. The rules
are in docs/cli.md: stdout is for data and stderr for messages to people, each line of data is flushed, and
text from the network is escaped before a terminal sees it.

    from rtcli.terminal.console import console
    console.write_line(f"{escape(name)}: {escape(text)}")      # data
    console.write_json({"type": "message", "ts": now, "text": text})           # data, with --json
    console.status("back after 3 s, 12 caught up")                             # message: "-- back after ..."
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Iterable, Mapping
from typing import Literal, TextIO

from rtcli.errors import CliError, Exit, RtcliError
from rtcli.terminal.escaping import escape, json_text

Style = Literal["bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan"]

_SGR: dict[str, int] = {
    "bold": 1,
    "dim": 2,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
}


class StdoutClosedError(Exception):
    """The reader of stdout is gone: the command ends with 0. No OSError, which would mean the network."""


class Console:
    """The process's three streams and its environment, behind one object."""

    def __init__(self) -> None:
        self.command = ""  # the command that runs, for error records
        self.json = False  # --json: errors become one JSON line
        self.verbose = 0  # -v: how much more to say on stderr
        self.quiet = False  # -q: no status lines
        self.color = "auto"  # --color: auto, always or never

    def configure(self, *, json: bool, verbose: int, quiet: bool, color: str) -> None:
        """Set what the options of every command say."""
        self.json, self.verbose, self.quiet, self.color = json, verbose, quiet, color

    # -- what the streams are ------------------------------------------------------------------------------

    @property
    def env(self) -> Mapping[str, str]:
        """The environment."""
        return os.environ

    def is_tty(self, stream: Literal["stdin", "stdout", "stderr"]) -> bool:
        """Whether this stream is a terminal. A closed one is not."""
        try:
            return os.isatty(("stdin", "stdout", "stderr").index(stream))
        except OSError:
            return False

    @property
    def stdin_is_tty(self) -> bool:
        """Whether stdin is a terminal."""
        return self.is_tty("stdin")

    @property
    def stdout_is_tty(self) -> bool:
        """Whether stdout is a terminal."""
        return self.is_tty("stdout")

    @property
    def stderr_is_tty(self) -> bool:
        """Whether stderr is a terminal."""
        return self.is_tty("stderr")

    @property
    def columns(self) -> int | None:
        """The width of the terminal that stdout is; None when it is none, or does not tell."""
        try:
            return os.get_terminal_size(1).columns or None
        except OSError:
            return None

    @property
    def is_dumb(self) -> bool:
        """Whether the terminal can only print lines."""
        return self.env.get("TERM", "") in {"", "dumb", "unknown"}

    def use_color(self, stream: Literal["stdout", "stderr"] = "stdout") -> bool:
        """Whether to use colours: decided by --color, then NO_COLOR (if not empty), TERM and the TTY."""
        if self.color != "auto":
            return self.color == "always"
        return self.is_tty(stream) and not self.env.get("NO_COLOR") and not self.is_dumb

    def style(self, text: str, *styles: Style, stream: Literal["stdout", "stderr"] = "stdout") -> str:
        """Colour `text` if the stream takes colours."""
        if not styles or not self.use_color(stream):
            return text
        return f"\x1b[{';'.join(str(_SGR[style]) for style in styles)}m{text}\x1b[0m"

    # -- data: stdout --------------------------------------------------------------------------------------

    def write_line(self, text: str) -> None:
        """Write one line of data and flush it. Raises StdoutClosedError when the reader is gone."""
        self.write_text(text + "\n")

    def write_lines(self, lines: Iterable[str]) -> None:
        """Write several lines and flush once."""
        text = "".join(f"{line}\n" for line in lines)
        if text:
            self.write_text(text)

    def write_json(self, record: Mapping[str, object]) -> None:
        """Write one record as a line of JSON and flush it. By convention, `type` is its first key."""
        self.write_line(json_text(record))

    def write_text(self, text: str) -> None:
        """Write text as it is and flush it."""
        self.write_bytes(text.encode("utf-8", "backslashreplace"))

    def write_bytes(self, data: bytes) -> None:
        """Write raw bytes to stdout and flush them.

        Raises StdoutClosedError when the reader is gone, CliError when stdout takes nothing (a full disk).
        """
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except (BrokenPipeError, ConnectionResetError) as error:
            self._discard(sys.stdout)
            raise StdoutClosedError(str(error)) from error
        except OSError as error:
            self._discard(sys.stdout)
            why = (error.strerror or str(error)).lower()
            raise CliError(f"stdout: {why}", hint="what was written there is incomplete") from error
        except (ValueError, AttributeError) as error:  # stdout was closed, or never open (`>&-`)
            raise StdoutClosedError(str(error)) from error

    # -- messages to people: stderr ------------------------------------------------------------------------

    def info(self, text: str) -> None:
        """Write a message, unless --quiet."""
        if not self.quiet:
            self._say(text)

    def status(self, text: str) -> None:
        """Write a change of state, unless --quiet: `-- back after 3 s`."""
        self.info(self.style(f"-- {escape(text)}", "dim", stream="stderr"))

    def warning(self, text: str) -> None:
        """Write a warning; the command goes on."""
        self._say(f"{self.style('warning:', 'yellow', stream='stderr')} {escape(text)}")

    def debug(self, text: str) -> None:
        """Write a message for -v."""
        if self.verbose:
            self._say(self.style(f".. {escape(text)}", "dim", stream="stderr"))

    def progress(self, text: str) -> None:
        """Redraw one line of progress on a terminal; elsewhere do nothing. Empty text removes it."""
        if self.stderr_is_tty and not self.quiet and not self.is_dumb:
            self._say_raw(f"\r\x1b[2K{escape(text)}")

    def error(self, error: RtcliError) -> None:
        """Write an error: two lines, `error:` and `hint:`, or one line of JSON with --json."""
        if self.json:
            self._say(json_text(self._error_record(error)))
            return
        self._say(f"{self.style('error:', 'red', 'bold', stream='stderr')} {escape(error.message)}")
        if error.hint:
            self._say(f"{self.style('hint:', 'cyan', stream='stderr')} {escape(error.hint)}")

    def _error_record(self, error: RtcliError) -> dict[str, object]:
        return {
            "type": "error",
            "command": self.command,
            "code": Exit(error.exit_code).name.lower(),
            "exit": int(error.exit_code),
            "message": error.message,
            "hint": error.hint,
            **error.facts,
        }

    def _say(self, text: str) -> None:
        self._say_raw(f"{text}\n")

    def _say_raw(self, text: str) -> None:
        # A message that cannot be written is no reason to fail.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace"))
            sys.stderr.buffer.flush()

    # -- closing -------------------------------------------------------------------------------------------

    def stdout_is_closed(self) -> bool:
        """Whether stdout is a pipe or socket whose reader has gone, without writing to it."""
        try:
            mode = os.fstat(1).st_mode
        except OSError:
            return True
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return False
        poll = select.poll()
        poll.register(1, 0)
        return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))

    def close(self) -> None:
        """Flush the streams, so that the interpreter has nothing to report when it exits."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                self._discard(stream)

    def _discard(self, stream: TextIO) -> None:
        # Docs of the signal module, "Note on SIGPIPE": point the descriptor elsewhere before the last flush.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


console = Console()
