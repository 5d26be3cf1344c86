"""Each package has its layers, and its docstring names what of it is imported from outside."""

from __future__ import annotations

import ast
import re
from configparser import ConfigParser, SectionProxy

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


def contracts(kind: str) -> list[SectionProxy]:
    """The contracts of one type."""
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    found = [parser[name] for name in parser.sections() if name.startswith("importlinter:contract:")]
    return [contract for contract in found if contract["type"] == kind]


def exhaustive_containers() -> set[str]:
    """The packages whose layers are a contract that names all of them."""
    return {
        container
        for contract in contracts("layers")
        if contract.getboolean("exhaustive", fallback=False)
        for container in contract["containers"].split()
    }


def test_every_package_with_more_than_one_module_has_its_layers() -> None:
    packages = {package for package in PACKAGES if len(children(package)) > 1}
    assert sorted(packages - exhaustive_containers()) == []


def test_what_some_may_import_is_forbidden_to_all_others() -> None:
    partial = [
        contract["name"]
        for contract in contracts("forbidden")
        if "ignore_imports" in contract and not set(contract["source_modules"].split()) <= ROOTS
    ]
    assert partial == []


def inside(name: str, package: str) -> bool:
    """Whether a module belongs to a package."""
    return f"{name}.".startswith(f"{package}.")


def used_outside(package: str) -> set[str]:
    """What lies directly in a package, modules and packages, and is imported from outside of it."""
    return {
        child.removeprefix(f"{package}.")
        for importer, targets in GRAPH.items()
        if not inside(importer, package)
        for target in targets
        if (child := STRUCTURE.child(package, target))
    }


def sentence(package: str) -> str:
    """What a package's docstring says of its use from outside."""
    docstring = ast.get_docstring(MODULES[package].tree) or ""
    return docstring.partition("From outside:")[2].partition("\n\n")[0]


def named(package: str) -> set[str]:
    """The modules and packages that this sentence names."""
    names = {name.partition(".")[0] for name in re.findall(r"`([\w.]+)`", sentence(package))}
    return names & {child.removeprefix(f"{package}.") for child in children(package)}


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - ROOTS))
def test_a_package_says_what_is_imported_from_outside(package: str) -> None:
    assert sentence(package), 'a sentence that begins with "From outside:"'
    if "all modules" not in sentence(package):
        assert named(package) == used_outside(package)
