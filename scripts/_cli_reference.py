"""Write docs/cli-reference.md from the commands' own --help."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from pathlib import Path

from rtcli.cli.app import main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli-reference.md"
HEAD = (
    "# Command reference\n\nGenerated from `--help` by `python scripts/_cli_reference.py`; a test compares.\n"
)


def help_of(*command: str) -> str:
    """Give the help text of a command as an 80-column terminal without colours shows it.

    In this process: to start one for each command took ten seconds.
    """
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main([*command, "--help"]) == 0  # noqa: S101 - a command that cannot show its help is a bug
    return "\n".join(line.rstrip() for line in shown.getvalue().strip().splitlines())


def subcommands(text: str) -> list[str]:
    """Find the commands that a help text lists."""
    section = re.search(r"^Commands:\n((?:  .*\n?)+)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z][a-z-]*)  ", section[1], re.MULTILINE) if section else []


def reference(*command: str) -> str:
    """Give the page's part for a command and everything below it."""
    text = help_of(*command)
    level = "#" * (2 + len(command))
    part = f"\n{level} `{' '.join(('rtcli', *command))}`\n\n```text\n{text}\n```\n"
    return part + "".join(reference(*command, name) for name in subcommands(text))


if __name__ == "__main__":
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    os.environ.pop("GITHUB_ACTIONS", None)
    page = HEAD + reference()
    if sys.argv[1:] == ["--check"]:
        sys.exit(PAGE.read_text(encoding="utf-8") != page)
    PAGE.write_text(page, encoding="utf-8")
