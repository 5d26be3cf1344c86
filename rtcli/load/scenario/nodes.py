"""The tree of a scenario file: nodes that know their place in it, and what is wrong at a place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rtcli.load.scenario.steps import Location


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """A mistake in a scenario. Lines and columns count from 1; line 0 is no place in the file."""

    line: int
    column: int
    text: str
    origin: str = ""  # instead of the file: `--set roles.reader.users`

    @classmethod
    def at(cls, location: Location | None, text: str) -> Diagnostic:
        """A diagnostic for a value of the model, which knows where it was written."""
        return cls(location.line, location.column, text) if location else cls(0, 0, text)

    def render(self, name: str) -> str:
        """`file:line:column: text`, as compilers write it."""
        if self.origin:
            return f"{self.origin}: {self.text}"
        return f"{name}:{self.line}:{self.column}: {self.text}" if self.line else f"{name}: {self.text}"


@dataclass(slots=True)
class ScalarNode:
    """A single value, as written. `plain` is false if it was written in quotes or in a block."""

    line: int
    column: int
    text: str
    plain: bool = True
    origin: str = ""
    start: int = 0  # its place in the text, to join a value that YAML split at a comma
    end: int = 0

    @property
    def is_null(self) -> bool:
        """Whether YAML means no value by it."""
        return self.plain and self.text in {"", "~", "null"}


@dataclass(slots=True)
class SequenceNode:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    origin: str = ""


@dataclass(slots=True)
class MappingNode:
    """Keys and values, in order."""

    line: int
    column: int
    pairs: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    origin: str = ""

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        return next((value for name, value in self.pairs if name.text == key), None)


Node = ScalarNode | SequenceNode | MappingNode


_WORDS: Mapping[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}


def plain_value(node: ScalarNode) -> str | float | bool | None:
    """A scalar as JSON value, by the core schema of YAML 1.2 without octal, hexadecimal and NaN."""
    if not node.plain:
        return node.text
    if node.text in _WORDS:
        return _WORDS[node.text]
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", node.text, re.ASCII):
        return int(node.text)
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})\.\d{1,17}", node.text, re.ASCII):
        return float(node.text)
    return node.text


def to_plain(node: Node) -> object:
    """A tree as JSON value."""
    if isinstance(node, MappingNode):
        return {key.text: to_plain(value) for key, value in node.pairs}
    if isinstance(node, SequenceNode):
        return [to_plain(item) for item in node.items]
    return plain_value(node)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'join'?` when one of the known words is near, else an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
