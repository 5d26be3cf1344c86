"""Every module has its test, and tests are where they are looked for: what tests/README.md says is so."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tests.support.paths import ROOT

README = (ROOT / "tests" / "README.md").read_text()
PACKAGES = {"rtcli": "tests/rtcli", "server/rtcli_server": "tests/server"}
ROW = re.compile(r"^\| `(?P<folder>[\w/]+)/` \| (?P<modules>[\w, `]+) \| (?P<suites>[^|]+) \|$", re.MULTILINE)


def modules() -> Iterator[str]:
    """The path of each module, but of those that only make a folder a package or a command."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.name.startswith("_"):
                yield path.relative_to(ROOT).as_posix()


def own_test(module: str) -> str:
    """The path of the test file of the same name."""
    package = next(package for package in PACKAGES if module.startswith(f"{package}/"))
    path = PurePosixPath(PACKAGES[package]) / PurePosixPath(module).relative_to(package)
    return str(path.with_name(f"test_{path.name}"))


def has_own_test(module: str) -> bool:
    return (ROOT / own_test(module)).exists()


def listed() -> dict[str, list[str]]:
    """The modules that the table names, each with the suites that cover it."""
    found: dict[str, list[str]] = {}
    for row in ROW.finditer(README):
        suites = re.findall(r"`([^`]+)`", row["suites"])
        for name in re.findall(r"\w+", row["modules"]):
            found[f"{row['folder']}/{name}.py"] = suites
    return found


def test_every_module_has_a_test_of_its_name_or_a_suite() -> None:
    without = [module for module in modules() if not has_own_test(module) and module not in listed()]
    assert without == [], "write tests of these names, or say in tests/README.md which suites cover them"


def test_the_table_names_what_is_there() -> None:
    gone = sorted(listed().keys() - set(modules()))
    assert gone == [], "in tests/README.md, but not modules any more"
    needless = [module for module in listed() if has_own_test(module)]
    assert needless == [], "in tests/README.md, and there is a test of that name"
    suites = {suite for suites in listed().values() for suite in suites}
    missing = [suite for suite in sorted(suites) if not (ROOT / "tests" / suite).exists()]
    assert missing == [], "in tests/README.md, but no suites any more"
    assert all(listed().values()), "each row names a suite"


def test_no_module_is_in_two_rows() -> None:
    named = Counter(
        f"{row['folder']}/{name}"
        for row in ROW.finditer(README)
        for name in re.findall(r"\w+", row["modules"])
    )
    assert [name for name, count in named.items() if count > 1] == []


def test_every_row_is_read() -> None:
    rows = [line for line in README.splitlines() if re.match(r"\| `\w+/", line)]
    assert len(rows) == len(ROW.findall(README))


def imported(path: Path) -> Iterator[str]:
    """What a file imports of the tests."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "tests":
            yield node.module


def test_helpers_are_in_support_and_nowhere_else() -> None:
    folder = ROOT / "tests"
    files = [path for path in sorted(folder.rglob("*.py")) if "node_modules" not in path.parts]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if not (name + ".").startswith("tests.support.")
    ]
    assert wrong == []
    strangers = [
        str(path.relative_to(ROOT))
        for path in files
        if not path.is_relative_to(folder / "support")
        and not re.fullmatch(r"test_\w+\.py|conftest\.py|__init__\.py", path.name)
    ]
    assert strangers == []
