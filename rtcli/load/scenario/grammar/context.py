"""Reading a scenario without stopping at the first mistake.

A kind of field that cannot read its node raises `WrongError`; whoever reads several things catches it,
notes it, goes on with the next, and raises `SkipError` at the end when something that it needs is missing.
So all mistakes are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rtcli.load.scenario.nodes import MappingNode, Mistake, Node, ScalarNode, SequenceNode
from rtcli.load.scenario.steps import Location

Schema = dict[str, Any]


class WrongError(Exception):
    """This node cannot be what it should be."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.node = node
        self.text = text


class SkipError(Exception):
    """Something needed was wrong, and has been noted already."""


@dataclass(slots=True)
class Reference:
    """A name that must be defined somewhere in the file; checked when all of it has been read."""

    node: Node
    what: str  # role, phase, name (of data), signal ...
    name: str
    path: tuple[str, ...] = ()
    local: frozenset[str] = frozenset()  # names that are defined just here


@dataclass(slots=True)
class Reading:
    """One pass over a file: what was found wrong, and which names it speaks of."""

    base: Path | None = None  # directory that data files are relative to
    mistakes: list[Mistake] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    local: frozenset[str] = frozenset()

    def note(self, node: Node, text: str) -> None:
        """Note a mistake at a node."""
        self.mistakes.append(Mistake(node.line, node.column, text, node.origin))


class FieldKind(Protocol):
    """Reads a node; says what it accepts."""

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401 - the grammar's tables are heterogeneous
        """The value. Raises `WrongError` or `SkipError`."""
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
    return "nothing" if node.plain and node.text in {"", "~", "null"} else repr(shorten(node.text))


def shorten(text: str) -> str:
    """At most 60 characters of a text, for messages."""
    return text if len(text) <= 60 else text[:57] + "..."


def scalar(node: Node, expected: str) -> ScalarNode:
    """The node as a single value that is there. Raises `WrongError`."""
    if not isinstance(node, ScalarNode) or (node.plain and node.text in {"", "~", "null"}):
        raise WrongError(node, f"expected {expected}, got {describe(node)}")
    return node


def read_all(fields: Sequence[tuple[Node, FieldKind]], reading: Reading) -> list[Any]:
    """Read each node, noting what is wrong. Raises `SkipError` when something was."""
    values: list[Any] = []
    complete = True
    for node, kind in fields:
        try:
            values.append(kind.read(node, reading))
        except WrongError as error:
            reading.note(error.node, error.text)
            complete = False
        except SkipError:
            complete = False
    if not complete:
        raise SkipError
    return values


def location_of(node: Node) -> Location:
    """Where a node is in the file, for the values of the model."""
    return Location(node.line, node.column)
