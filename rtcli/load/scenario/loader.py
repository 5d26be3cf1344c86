"""Loads a scenario strictly: one reading finds every mistake, each with its place in the file.

scenario = load_scenario("smoke")                         # a bundled one
scenario = load_scenario("chat.yaml", overrides=["roles.reader.users=50"])
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rtcli
from rtcli.load.scenario.checks import check_references, check_scenario
from rtcli.load.scenario.grammar.context import ReadContext
from rtcli.load.scenario.grammar.document import SCENARIO
from rtcli.load.scenario.grammar.thresholds import ThresholdError, parse_threshold
from rtcli.load.scenario.model import Scenario, Target, ThresholdSpec
from rtcli.load.scenario.nodes import Diagnostic, MappingNode, did_you_mean, to_plain
from rtcli.load.scenario.overrides import apply_override
from rtcli.load.scenario.yaml import MAX_BYTES, YamlError, compose


class ScenarioError(Exception):
    """The scenario cannot be used. `mistakes` holds everything that is wrong, in the order of the file."""

    def __init__(self, name: str, diagnostics: Sequence[Diagnostic]) -> None:
        self.name = name
        self.diagnostics = tuple(
            sorted(dict.fromkeys(diagnostics), key=lambda diagnostic: (bool(diagnostic.origin), diagnostic))
        )
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line for each mistake: `file:line:column: text`."""
        return [diagnostic.render(self.name) for diagnostic in self.diagnostics]


def bundled_folder() -> Path:
    """The bundled scenarios: inside the installed package, or `scenarios/` of the clone it runs from."""
    package = Path(rtcli.__file__).resolve().parent
    installed = package / "scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def bundled_names() -> list[str]:
    """The names of the scenarios that come with the package."""
    return sorted(path.stem for path in bundled_folder().glob("*.yaml"))


def load_scenario(name: str, *, overrides: Sequence[str] = (), thresholds: Sequence[str] = ()) -> Scenario:
    """Load a bundled scenario by its name, or a file by its path. Raises `ScenarioError`."""
    text, base = read_source(name)
    scenario = parse_scenario(text, name, base=base, overrides=overrides, thresholds=thresholds)
    return scenario if base is not None else replace(scenario, path="")


def hides_bundled(name: str) -> bool:
    """Whether a file in the current directory has the name of a bundled scenario, and is taken instead."""
    try:
        return name in bundled_names() and Path(name).exists() and not Path(name).is_dir()
    except OSError:
        return False


def read_source(name: str) -> tuple[str, Path | None]:
    """A scenario's text, and the directory that its data files are relative to. Raises `ScenarioError`.

    A file goes before a bundled scenario of its name; a directory does not.
    """
    path = Path(name)
    is_path = path.suffix.lower() in {".yaml", ".yml", ".json"} or len(path.parts) != 1
    if is_path or hides_bundled(name) or (path.exists() and name not in bundled_names()):
        return _decode(_read(path), name), path.parent
    if name not in bundled_names():
        near = did_you_mean(name, bundled_names()) or f"; bundled are: {', '.join(bundled_names())}"
        raise ScenarioError(
            name, [Diagnostic(0, 0, f"there is no bundled scenario of this name and no such file{near}")]
        )
    return _decode((bundled_folder() / f"{name}.yaml").read_bytes(), name), None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = "it is a directory" if path.is_dir() else str(error.strerror or error)
        raise ScenarioError(str(path), [Diagnostic(0, 0, reason)]) from None
    except ValueError as error:  # a NUL in the name
        raise ScenarioError(str(path), [Diagnostic(0, 0, str(error))]) from None
    if len(content) > MAX_BYTES:
        raise ScenarioError(str(path), [Diagnostic(0, 0, "larger than 1 MiB")])
    return content


def _decode(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise ScenarioError(name, [Diagnostic(0, 0, "not a text file in UTF-8")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ScenarioError(name, [Diagnostic(line, column, "not UTF-8")]) from None


def parse_scenario(
    text: str,
    name: str = "scenario",
    *,
    base: Path | None = None,
    overrides: Sequence[str] = (),
    thresholds: Sequence[str] = (),
) -> Scenario:
    """Read a scenario from its text. Raises `ScenarioError` with everything that is wrong.

    `overrides` are changes (`path=value`), `thresholds` are further ones (`fanout_latency: p(99) < 250ms`).
    """
    try:
        root, diagnostics = compose(text)
    except YamlError as error:
        raise ScenarioError(name, [error.diagnostic]) from None
    context = ReadContext(base)
    context.diagnostics += diagnostics
    if not isinstance(root, MappingNode):
        what = "empty" if root is None else "not a mapping"
        raise ScenarioError(
            name, [*diagnostics, Diagnostic(1, 1, f"{what}: a scenario has at least name, phases and roles")]
        )
    context.diagnostics += [found for change in overrides if (found := apply_override(root, change))]
    more = _read_thresholds(thresholds, context)
    values = _build(root, context)
    if context.diagnostics:
        raise ScenarioError(name, context.diagnostics)
    values["thresholds"] = (*values.get("thresholds", ()), *more)
    return Scenario(**values, path=name, text=text, digest=_digest(root))


def _build(root: MappingNode, context: ReadContext) -> dict[str, Any]:
    """Read and check all sections. Incomplete if mistakes are reported."""
    values: dict[str, Any] = SCENARIO.read(root, context)
    check_references(context)
    roles, data, target = values.get("roles", {}), values.get("data", {}), values.get("target", Target())
    context.diagnostics += check_scenario(roles, data, target)
    return values


def _digest(root: MappingNode) -> str:
    """SHA-256 of the document without description and thresholds, which do not change what a run does."""
    content = {
        key.text: to_plain(value)
        for key, value in root.pairs
        if key.text not in {"description", "thresholds"}
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_thresholds(texts: Sequence[str], context: ReadContext) -> list[ThresholdSpec]:
    found: list[ThresholdSpec] = []
    for text in texts:
        try:
            found.append(parse_threshold(text))
        except ThresholdError as error:
            context.diagnostics.append(Diagnostic(0, 0, str(error), f"--threshold {text!r}"))
    return found
