"""docs/operations.md: its tables are what the code has."""

from __future__ import annotations

import importlib
import pkgutil
import re

import rtcli_server
from rtcli_server.timing.supervision import OnEnd, Supervised
from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| (?P<name>[^`|]+) \| `(?P<file>[\w/.]+)` \| (?P<end>[^|]+) \|$", re.MULTILINE)
SAID = {OnEnd.RESTART: "starts again", OnEnd.EXIT: "the process ends"}


def in_code() -> set[tuple[str, str, str]]:
    """What runs for as long as the server: its name, its module, and what follows when it ends."""
    found = set()
    for module in pkgutil.walk_packages(rtcli_server.__path__, "rtcli_server."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Supervised):
                found.add((module.name, value))
    return {(what.name, path_of(module), SAID[what.on_end]) for module, what in found}


def path_of(module: str) -> str:
    """Its file, from the package on."""
    return module.removeprefix("rtcli_server.").replace(".", "/") + ".py"


def test_the_table_has_all_that_runs_and_what_follows_when_it_ends() -> None:
    rows = {(row["name"], row["file"], re.split("[;:]", row["end"])[0].strip()) for row in ROW.finditer(TEXT)}
    assert rows == in_code()
