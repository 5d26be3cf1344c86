"""How a demo is shown: a line for each thing that somebody does or sees, on a terminal and in a pipe."""

from __future__ import annotations

import time

from rtcli.terminal.console import Console, Style
from rtcli.terminal.escaping import escape

_WIDTH = 78
_STYLES: dict[str, Style] = {"ann": "cyan", "bob": "green", "tail": "magenta", "server": "blue"}


class Stage:
    """Writes the demo's lines to stdout, each with the seconds since it began."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def scene(self, title: str) -> None:
        """Begin a part of the demo."""
        rule = "-" * max(2, _WIDTH - len(title) - 4)
        self._console.write_line("")
        self._console.write_line(self._console.style(f"-- {title} {rule}", "bold"))

    def says(self, who: str, text: str) -> None:
        """Somebody says something."""
        self._line(who, "says", escape(text), "bold")

    def sees(self, who: str, text: str, *, took_s: float | None = None) -> None:
        """Somebody gets something, `took_s` seconds after it was said."""
        took = "" if took_s is None else self._console.style(f"  ({took_s * 1000:.1f} ms later)", "dim")
        self._line(who, "sees", f"{escape(text)}{took}")

    def is_told(self, who: str, text: str) -> None:
        """Somebody's client says what happened to its connection."""
        self._line(who, "", self._console.style(f"-- {escape(text)}", "yellow"))

    def does(self, who: str, text: str) -> None:
        """The server, or whoever else, does something."""
        self._line(who, "", escape(text))

    def plain(self, text: str) -> None:
        """A line without an actor."""
        self._console.write_line(text)

    def _line(self, who: str, verb: str, text: str, *styles: Style) -> None:
        now = self._console.style(f"{time.monotonic() - self._began:5.2f} s", "dim")
        name = self._console.style(f"{who:<6}", _STYLES.get(who, "bold"))
        body = self._console.style(text, *styles) if styles else text
        self._console.write_line(f"{now}  {name} {verb:<4}  {body}")
