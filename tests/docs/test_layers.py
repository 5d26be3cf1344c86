"""Each package has its layers, and its docstring names what of it is imported from outside."""

from __future__ import annotations

import ast
import re
from configparser import ConfigParser

import pytest

from tests.support.paths import ROOT
from tests.support.structure import STRUCTURE

MODULES = STRUCTURE.read(ROOT)
GRAPH = STRUCTURE.module_graph(MODULES)
ROOTS = {"rtcli", "rtcli_server"}
PACKAGES = sorted(module.name for module in MODULES.values() if module.is_package)


def children(package: str) -> set[str]:
    """The modules and packages that lie directly in a package."""
    return {child for name in MODULES if (child := STRUCTURE.child(package, name))}


def exhaustive_containers() -> set[str]:
    """The packages whose layers are a contract that names all of them."""
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    sections = (contracts[name] for name in contracts.sections() if name.startswith("importlinter:contract:"))
    return {
        container
        for section in sections
        if section["type"] == "layers" and section.getboolean("exhaustive", fallback=False)
        for container in section["containers"].split()
    }


def test_every_package_with_more_than_one_module_has_its_layers() -> None:
    packages = {package for package in PACKAGES if len(children(package)) > 1}
    assert sorted(packages - exhaustive_containers()) == []


def inside(name: str, package: str) -> bool:
    """Whether a module belongs to a package."""
    return f"{name}.".startswith(f"{package}.")


def lent(package: str) -> set[str]:
    """What lies directly in a package, modules and packages, and is imported from outside of it."""
    return {
        child.removeprefix(f"{package}.")
        for importer, targets in GRAPH.items()
        if not inside(importer, package)
        for target in targets
        if (child := STRUCTURE.child(package, target))
    }


def said(package: str) -> str:
    """What a package's docstring says of its use from outside."""
    docstring = ast.get_docstring(MODULES[package].tree) or ""
    return docstring.partition("From outside:")[2].partition("\n\n")[0]


def named(package: str) -> set[str]:
    """The modules and packages that this sentence names."""
    names = {name.partition(".")[0] for name in re.findall(r"`([\w.]+)`", said(package))}
    return names & {child.removeprefix(f"{package}.") for child in children(package)}


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - ROOTS))
def test_a_package_says_what_is_imported_from_outside(package: str) -> None:
    assert said(package), 'a sentence that begins with "From outside:"'
    if "all modules" not in said(package):
        assert named(package) == lent(package)
