"""Turn what a terminal shows (text with ANSI colours, on stdin) into an SVG that needs no font or host."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def to_svg(screen: str, *, columns: int, title: str) -> str:
    """Draw `screen`, as captured from a terminal of `columns` columns."""
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in screen.rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    svg = console.export_svg(title=title)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(
        to_svg(sys.stdin.read(), columns=104, title="scripts/demo"), encoding="utf-8"
    )
