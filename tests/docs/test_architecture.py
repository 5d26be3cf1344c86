"""docs/architecture.md names only what exists, and all packages; the tree keeps the figures that it has."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.paths import ROOT
from tests.support.structure import STRUCTURE

TEXT = (ROOT / "docs" / "architecture.md").read_text()
TREE = TEXT.split("```")[1]
SOURCES = (ROOT / "server" / "rtcli_server", ROOT / "rtcli")
MODULES = STRUCTURE.read(ROOT)


def named_in_tree() -> set[str]:
    """Every file and folder of the tree, by its path from the root."""
    found: set[str] = set()
    folders: list[tuple[int, str]] = []
    for line in TREE.strip().splitlines():
        indent = len(line) - len(line.lstrip())
        folders = [(depth, name) for depth, name in folders if depth < indent] if line.strip() else folders
        for name in re.findall(r"(?<![\w/.-])([a-z_]+(?:/[a-z_]+)*(?:/|\.py|\.js))(?![\w])", line):
            inside = "".join(folder for _, folder in folders)
            found.add(inside + name)
            if name.endswith("/") and line.strip().startswith(name):
                folders.append((indent, name))
    return found


@pytest.mark.parametrize("name", sorted(named_in_tree()))
def test_every_path_of_the_map_exists(name: str) -> None:
    parents = ("", "tests/")
    assert any((ROOT / parent / name).exists() for parent in parents), name


def test_every_package_is_on_the_map() -> None:
    packages = {
        f"{path.parent.relative_to(ROOT)}/"
        for source in SOURCES
        for path in source.rglob("__init__.py")
        if path.parent != source
    }
    assert packages <= named_in_tree()


@pytest.mark.parametrize("folder", ["server/rtcli_server", "rtcli", "rtcli/load"])
def test_the_modules_beside_packages_are_on_the_map(folder: str) -> None:
    modules = {
        f"{folder}/{path.name}" for path in (ROOT / folder).glob("*.py") if not path.name.startswith("_")
    }
    assert modules <= named_in_tree()


def test_every_file_that_a_paragraph_names_exists() -> None:
    prose = TEXT.replace(TREE, "").partition("## The way of a chat message")[2]
    files = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", prose))
    known = {path.as_posix() for source in SOURCES for path in source.rglob("*.py")}
    assert files
    assert [name for name in files if not any(path.endswith(f"/{name}") for path in known)] == []


def test_the_picture_is_current() -> None:
    assert STRUCTURE.page_with(TEXT, STRUCTURE.picture(ROOT)) == TEXT, "run: scripts/structure --picture"


def test_there_is_no_cycle_in_any_folder() -> None:
    graph = STRUCTURE.module_graph(MODULES)
    cycles = {
        folder: rings
        for folder, edges in STRUCTURE.sibling_graphs(MODULES, graph)
        if (rings := STRUCTURE.components(edges))
    }
    assert cycles == {}


def test_no_folder_is_a_long_list() -> None:
    counts = Counter(module.folder for module in MODULES.values() if not module.is_package)
    assert {folder: count for folder, count in counts.items() if count > 15} == {}


def test_every_public_definition_says_what_it_is() -> None:
    assert STRUCTURE.without_docstring(MODULES.values()) == []
