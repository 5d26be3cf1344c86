"""Starting Python modules of ours in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path


def module_command(module: str, *arguments: str) -> list[str]:
    """Give the command that runs `module` in an interpreter which imports from where this one does.

    `-m` puts the current directory first on the path. That is right where it is on ours too (`python -m
    rtcli`, a test run), and wrong for the installed command: there `-P` leaves it out.
    """
    return [sys.executable, *([] if _imports_from_current_directory() else ["-P"]), "-m", module, *arguments]


def _imports_from_current_directory() -> bool:
    try:
        return not {"", str(Path.cwd())}.isdisjoint(sys.path)
    except FileNotFoundError:  # the directory was removed
        return False
