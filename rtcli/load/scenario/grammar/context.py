"""What the types of fields share while a scenario file is read, without stopping at the first mistake.

A type that cannot read its node raises `FieldError`. Whoever reads several nodes catches it, reports it, goes
on with the next node, and raises `AlreadyReportedError` at the end when a value that it needs is missing. So
one reading finds all mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rtcli.load.scenario.nodes import Diagnostic, MappingNode, Node, ScalarNode, SequenceNode
from rtcli.load.scenario.steps import Location

Schema = dict[str, Any]


class FieldError(Exception):
    """The node is not what its field accepts."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.node = node
        self.text = text


class AlreadyReportedError(Exception):
    """A value that is needed was wrong; the diagnostic has been reported."""


class Definition(NamedTuple):
    """A name that the file defines. `kind`: role, phase, name (of data), signal, capture."""

    node: Node
    kind: str
    name: str


@dataclass(slots=True)
class Reference:
    """A use of a name that the file must define; checked when all of it has been read."""

    node: Node
    kind: str  # as in `Definition`
    name: str
    path: tuple[str, ...] = ()  # of `${name.name...}`
    local: frozenset[str] = frozenset()  # names that are defined for this node alone


@dataclass(slots=True)
class ReadContext:
    """One reading of a file: the mistakes found so far, and the names that it defines and uses."""

    base: Path | None = None  # directory that data files are relative to
    diagnostics: list[Diagnostic] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    local: frozenset[str] = frozenset()  # names that are defined for the node being read

    def report(self, node: Node, text: str) -> None:
        """Add a diagnostic at a node."""
        self.diagnostics.append(Diagnostic(node.line, node.column, text, node.origin))

    def define(self, node: Node, kind: str, name: str) -> None:
        """Record that the file defines a name."""
        self.definitions.append(Definition(node, kind, name))

    def refer(self, node: Node, kind: str, name: str) -> None:
        """Record that the file uses a name."""
        self.references.append(Reference(node, kind, name))


class FieldType(Protocol):
    """Reads a node, and describes what it accepts as JSON Schema."""

    def read(self, node: Node, context: ReadContext) -> Any:
        """The value of the node. Raises `FieldError` or `AlreadyReportedError`."""
        ...

    def schema(self) -> Schema:
        """JSON Schema (2020-12) of what is accepted."""
        ...


def describe(node: Node) -> str:
    """What a node is, for messages."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if node.is_null else repr(shorten(node.text))


def shorten(text: str) -> str:
    """At most 60 characters of a text, for messages."""
    return text if len(text) <= 60 else text[:57] + "..."


def scalar(node: Node, expected: str) -> ScalarNode:
    """The node, which must be a scalar and not empty. Raises `FieldError`."""
    if not isinstance(node, ScalarNode) or node.is_null:
        raise FieldError(node, f"expected {expected}, got {describe(node)}")
    return node


def read_all(items: Sequence[tuple[Node, FieldType]], context: ReadContext) -> list[Any]:
    """Read each node and report every mistake. Raises `AlreadyReportedError` when there was one."""
    values: list[Any] = []
    for node, field_type in items:
        try:
            values.append(field_type.read(node, context))
        except FieldError as error:
            context.report(error.node, error.text)
        except AlreadyReportedError:
            continue
    if len(values) < len(items):
        raise AlreadyReportedError
    return values


def location_of(node: Node) -> Location:
    """The place of a node in the file, for the values of the model."""
    return Location(node.line, node.column)
