"""HTML that the sections of `report.html` share. Texts are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rtcli.terminal.escaping import escape as escape_controls

_MAX_TEXT = 100_000


def text(value: object, limit: int = _MAX_TEXT) -> str:
    """Escape a text for HTML; control and direction characters become visible."""
    return escape(escape_controls(str(value), limit=limit))


def lines(source: str) -> str:
    """Escape a text of several lines for HTML."""
    return "\n".join(text(line) for line in source[:_MAX_TEXT].splitlines())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def tile(value: str, label: str, *, bad: bool = False) -> str:
    """A figure and what it is of; red when it is bad."""
    return f'<div class="tile{" bad" if bad else ""}"><b>{text(value)}</b><span>{text(label)}</span></div>'


def tiles(shown: Iterable[str]) -> str:
    """Figures in rows."""
    return f'<div class="tiles">{"".join(shown)}</div>'
