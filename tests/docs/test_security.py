"""docs/security.md names tests that exist, and at least one for each attack."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "security.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| who ")
]
WHO = {"stranger", "client", "page", "neighbour", "anyone", "liar"}
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def names_of_tests(file: Path) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse(file.read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=[row[1][:60] for row in ROWS])
def test_each_attack_has_its_bound_and_tests_that_exist(row: list[str]) -> None:
    who, attack, bound, shown = row
    assert who in WHO
    assert attack
    assert bound
    named = TEST.findall(shown)
    assert len(named) == shown.count("`") / 2 >= 1, "written as `FOLDER/FILE::TEST`"
    for file, test in named:
        assert test in names_of_tests(ROOT / "tests" / file), f"{file}::{test}"


def test_there_is_a_table_and_every_attack_suite_is_in_it() -> None:
    assert len(ROWS) > 10
    shown = "".join(row[3] for row in ROWS)
    suites = {file.name for file in (ROOT / "tests" / "attacks").glob("test_*.py")} - {"test_measure.py"}
    missing = sorted(name for name in suites if f"attacks/{name}" not in shown)
    assert missing == [], "each suite in tests/attacks has a row in docs/security.md"
