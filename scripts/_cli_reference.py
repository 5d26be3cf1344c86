"""Write docs/cli-reference.md from the commands' own --help."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

RTCLI = Path(sysconfig.get_path("scripts")) / "rtcli"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli-reference.md"
HEAD = (
    "# Command reference\n\nGenerated from `--help` by `python scripts/_cli_reference.py`; a test compares.\n"
)


def help_of(*command: str) -> str:
    """Give the help text of a command as an 80-column terminal without colours shows it."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    environment.pop("GITHUB_ACTIONS", None)
    shown = subprocess.run(  # noqa: S603 - our own command
        [RTCLI, *command, "--help"], capture_output=True, text=True, check=True, env=environment
    )
    return "\n".join(line.rstrip() for line in shown.stdout.strip().splitlines())


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
    page = HEAD + reference()
    if sys.argv[1:] == ["--check"]:
        sys.exit(PAGE.read_text(encoding="utf-8") != page)
    PAGE.write_text(page, encoding="utf-8")
