"""docs/architecture.md names only what exists, and every part of the tree."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
TREE = TEXT.split("```")[1]


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


@pytest.mark.parametrize("package", ["server", "rtcli"])
def test_every_subpackage_is_on_the_map(package: str) -> None:
    folders = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()}
    assert folders <= {name.rstrip("/").split("/")[-1] for name in named_in_tree()}
