"""What the fields of a scenario can be: each kind reads a node into a value and describes itself as schema.

One table of fields (`scenario_grammar`) therefore gives the loader, its messages and the published schema,
and they cannot drift apart. Why not pydantic: the place of each mistake, and one good message where a value
can be written in several shapes (`join: lobby` or `join: {room: lobby}`) instead of one for every shape
that it is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtcli.load.scenario.expression_parser import ExpressionError, parse_template
from rtcli.load.scenario.expressions import Template
from rtcli.load.scenario.grammar.context import (
    FieldKind,
    Reading,
    Reference,
    Schema,
    WrongError,
    describe,
    read_all,
    scalar,
    shorten,
)
from rtcli.load.scenario.nodes import Node, ScalarNode, SequenceNode, did_you_mean


@dataclass(frozen=True, slots=True)
class Parsed:
    """A single value that a function reads from text, raising ValueError with the message for people."""

    parse: Callable[[str], Any]
    expected: str
    pattern: str = ""
    numbers: bool = False  # also written as a bare number
    positive: bool = False

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401, ARG002
        """Parse the text."""
        text = scalar(node, self.expected).text
        try:
            value = self.parse(text)
        except ValueError as error:
            raise WrongError(node, str(error)) from None
        if self.positive and value <= 0:
            raise WrongError(node, f"{text!r} must be more than 0")
        return value

    def schema(self) -> Schema:
        """A string with a pattern."""
        described: Schema = {
            "type": ["string", "number"] if self.numbers else "string",
            "description": self.expected,
        }
        return {**described, "pattern": self.pattern} if self.pattern else described


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; a number counts as text."""

    expected: str = "a text"
    pattern: str = ""
    longest: int = 10_000

    def read(self, node: Node, reading: Reading) -> str:  # noqa: ARG002
        """The text itself."""
        text = scalar(node, self.expected).text
        if len(text) > self.longest:
            raise WrongError(node, f"{len(text)} characters: at most {self.longest}")
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise WrongError(node, f"{shorten(text)!r} is not {self.expected}")
        return text

    def schema(self) -> Schema:
        """A string; JSON Schema patterns are not anchored."""
        described: Schema = {"type": ["string", "number"], "maxLength": self.longest}
        return {**described, "pattern": f"^(?:{self.pattern})$"} if self.pattern else described


NAME = Text("a name: letters, digits, - and _, up to 64", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    low: int = 0
    high: int = 10_000_000

    def read(self, node: Node, reading: Reading) -> int:  # noqa: ARG002
        """The number."""
        found = scalar(node, "a whole number")
        if not found.plain or not re.fullmatch(r"[-+]?\d{1,18}", found.text, re.ASCII):
            raise WrongError(node, f"expected a whole number, got {describe(node)}")
        value = int(found.text)
        if not self.low <= value <= self.high:
            raise WrongError(node, f"{value} is out of range: {self.low} to {self.high}")
        return value

    def schema(self) -> Schema:
        """An integer with its range."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Number:
    """A number that may have a fraction."""

    low: float = 0.0

    def read(self, node: Node, reading: Reading) -> float:  # noqa: ARG002
        """The number; NaN and infinities are none."""
        found = scalar(node, "a number")
        if not found.plain or not re.fullmatch(r"[-+]?\d{1,15}(\.\d{1,15})?", found.text, re.ASCII):
            raise WrongError(node, f"expected a number, got {describe(node)}")
        value = float(found.text)
        if not math.isfinite(value) or value <= self.low:
            raise WrongError(node, f"{found.text} must be more than {self.low:g}")
        return value

    def schema(self) -> Schema:
        """A number above its bound."""
        return {"type": "number", "exclusiveMinimum": self.low}


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""

    def read(self, node: Node, reading: Reading) -> bool:  # noqa: ARG002
        """The truth value; YAML 1.1's yes and on are not accepted."""
        found = scalar(node, "true or false")
        if not found.plain or found.text not in {"true", "false"}:
            raise WrongError(node, f"expected true or false, got {describe(node)}")
        return found.text == "true"

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words; `values` maps what is written to what it means."""

    values: Mapping[str, Any]

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401, ARG002
        """What the word stands for."""
        text = scalar(node, f"one of {', '.join(self.values)}").text
        if text not in self.values:
            near = did_you_mean(text, self.values) or f"; there are: {', '.join(self.values)}"
            raise WrongError(node, f"{shorten(text)!r} is not possible here{near}")
        return self.values[text]

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.values)}


def words(*values: str) -> OneOf:
    """A choice of words that stand for themselves."""
    return OneOf({value: value for value in values})


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """Text with `${...}`; the names in it are checked against the data of the file."""

    expected: str = "a text"

    def read(self, node: Node, reading: Reading) -> Template:
        """Parse it, and remember the names."""
        found = scalar(node, self.expected)
        try:
            template = parse_template(found.text)
        except ExpressionError as error:
            raise WrongError(node, f"{shorten(found.text)!r}: {error}") from None
        for path in template.names:
            reading.references.append(Reference(node, "name", path[0], path, reading.local))
        return template

    def schema(self) -> Schema:
        """A string or a number."""
        return {"type": ["string", "number"], "description": f"{self.expected}; ${{name}} inserts data"}


@dataclass(frozen=True, slots=True)
class Ref:
    """The name of something that is defined elsewhere in the file."""

    what: str

    def read(self, node: Node, reading: Reading) -> str:
        """The name; whether it exists is checked at the end."""
        name = scalar(node, f"the name of a {self.what}").text
        reading.references.append(Reference(node, self.what, name))
        return name

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "description": f"name of a {self.what}"}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list; `many` false also takes a single item."""

    item: FieldKind
    least: int = 0
    alone: bool = False

    def read(self, node: Node, reading: Reading) -> tuple[Any, ...]:
        """All items. A wrong one is noted, and the list is skipped in the end."""
        if self.alone and isinstance(node, ScalarNode):
            return (self.item.read(node, reading),)
        if not isinstance(node, SequenceNode):
            raise WrongError(node, f"expected a list, got {describe(node)}")
        if len(node.items) < self.least:
            raise WrongError(
                node, "expected at least one item" if self.least == 1 else f"expected {self.least} items"
            )
        return tuple(read_all([(item, self.item) for item in node.items], reading))

    def schema(self) -> Schema:
        """An array."""
        array: Schema = {"type": "array", "items": self.item.schema()}
        if self.least:
            array["minItems"] = self.least
        return {"anyOf": [self.item.schema(), array]} if self.alone else array
