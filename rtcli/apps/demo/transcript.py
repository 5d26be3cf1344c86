"""What the demo prints: a line for each thing that a participant does or receives."""

from __future__ import annotations

import time

from rtcli.terminal.console import Console, Style
from rtcli.terminal.escaping import escape

_WIDTH = 78
_STYLES: dict[str, Style] = {"ann": "cyan", "bob": "green", "tail": "magenta", "server": "blue"}


class Transcript:
    """Writes lines to stdout, each with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def scene(self, title: str) -> None:
        """Start a part of the demo with a title."""
        rule = "-" * max(2, _WIDTH - len(title) - 4)
        self._console.write_line("")
        self._console.write_line(self._console.style(f"-- {title} {rule}", "bold"))

    def says(self, who: str, text: str) -> None:
        """A participant sends a text."""
        self._line(who, "says", escape(text), "bold")

    def sees(self, who: str, text: str, *, took_s: float | None = None) -> None:
        """A participant receives a text, `took_s` seconds after it was sent."""
        took = "" if took_s is None else self._console.style(f"  ({took_s * 1000:.1f} ms later)", "dim")
        self._line(who, "sees", f"{escape(text)}{took}")

    def status(self, who: str, text: str) -> None:
        """Something happened to a participant's connection."""
        self._line(who, "", self._console.style(f"-- {escape(text)}", "yellow"))

    def does(self, who: str, text: str) -> None:
        """The server or a participant does something."""
        self._line(who, "", escape(text))

    def plain(self, text: str) -> None:
        """A line that belongs to nobody."""
        self._console.write_line(text)

    def _line(self, who: str, verb: str, text: str, *styles: Style) -> None:
        now = self._console.style(f"{time.monotonic() - self._began:5.2f} s", "dim")
        name = self._console.style(f"{who:<6}", _STYLES.get(who, "bold"))
        body = self._console.style(text, *styles) if styles else text
        self._console.write_line(f"{now}  {name} {verb:<4}  {body}")
