"""Pieces of HTML that the sections of `report.html` share. Everything in them is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rtcli.terminal.escaping import escape as escape_controls

_MAX_TEXT = 100_000


def text(value: object, limit: int = _MAX_TEXT) -> str:
    """Any text, harmless in a browser: control and direction characters visible, markup escaped."""
    return escape(escape_controls(str(value), limit=limit))


def lines(source: str) -> str:
    """The same for several lines."""
    return "\n".join(text(line) for line in source[:_MAX_TEXT].splitlines())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
