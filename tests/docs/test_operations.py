"""docs/operations.md: its tables are what the code has."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re

import rtcli_server
from rtcli_server.timing.supervision import OnEnd, Supervised
from tests.support.paths import ROOT

PACKAGE = ROOT / "server" / "rtcli_server"
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


STARTS = {
    "Thread", "ThreadPoolExecutor", "add_done_callback", "call_at", "call_later", "call_soon",
    "call_soon_threadsafe", "create_task", "ensure_future", "run_in_executor", "to_thread",
}  # fmt: skip
OTHER = re.compile(r"^\| [^|]+ \| (?P<files>`[\w/.]+`(?:, `[\w/.]+`)*) \| [^|]+ \|$", re.MULTILINE)


def modules_that_start_something() -> set[str]:
    """The modules that start something in the background, or are called when it ends."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            name: str = getattr(called, "attr", getattr(called, "id", ""))
            if name.lstrip("_") in STARTS:
                found.add(path.relative_to(PACKAGE).as_posix())
    return found


def path_of(module: str) -> str:
    """Its file, from the package on."""
    return module.removeprefix("rtcli_server.").replace(".", "/") + ".py"


def test_the_table_has_all_that_runs_and_what_follows_when_it_ends() -> None:
    table = TEXT.partition("who looks at its end")[0]
    rows = {
        (row["name"], row["file"], re.split("[;:]", row["end"])[0].strip()) for row in ROW.finditer(table)
    }
    assert rows == in_code()


def test_the_other_table_has_each_module_that_starts_something() -> None:
    other = TEXT.partition("who looks at its end")[2]
    listed = [file for row in OTHER.finditer(other) for file in re.findall(r"`([^`]+)`", row["files"])]
    assert sorted(listed) == sorted(modules_that_start_something())
