"""Turn what a terminal shows (text with ANSI colours, on stdin) into an SVG that needs no font or host."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console


def to_svg(screen: str, *, columns: int, title: str) -> str:
    """Draw `screen`, as captured from a terminal of `columns` columns."""
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in AnsiDecoder().decode(screen.rstrip("\n")):  # colours carry over from line to line
        console.print(line, no_wrap=True, crop=True)
    svg = console.export_svg(title=title)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "monospace")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(
        to_svg(sys.stdin.read(), columns=120, title="scripts/demo"), encoding="utf-8"
    )
