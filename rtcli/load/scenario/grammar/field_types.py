"""The basic types of fields: each reads a node into a value and describes what it accepts as JSON Schema.

The tables of fields in this package therefore give the loader, its messages and the published schema, and the
three cannot drift apart. Why not pydantic: each mistake needs its place in the file, and a value that can be
written in several shapes (`join: lobby` or `join: {room: lobby}`) needs one good message instead of one for
each shape that it is not.
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
    FieldError,
    FieldType,
    ReadContext,
    Reference,
    Schema,
    describe,
    read_all,
    scalar,
    shorten,
)
from rtcli.load.scenario.nodes import Node, ScalarNode, SequenceNode, did_you_mean


@dataclass(frozen=True, slots=True)
class Parsed:
    """A scalar that a function parses; it raises ValueError with the message for people."""

    parse: Callable[[str], Any]
    expected: str
    pattern: str = ""  # for the schema alone
    numbers: bool = False  # for the schema alone: a bare number is a text of this type too
    positive: bool = False

    def read(self, node: Node, context: ReadContext) -> Any:
        """Parse the text."""
        text = scalar(node, self.expected).text
        try:
            value = self.parse(text)
        except ValueError as error:
            raise FieldError(node, str(error)) from None
        if self.positive and value <= 0:
            raise FieldError(node, f"{text!r} must be more than 0")
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
    max_length: int = 10_000

    def read(self, node: Node, context: ReadContext) -> str:
        """The text itself."""
        text = scalar(node, self.expected).text
        if len(text) > self.max_length:
            raise FieldError(node, f"{len(text)} characters: at most {self.max_length}")
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise FieldError(node, f"{shorten(text)!r} is not {self.expected}")
        return text

    def schema(self) -> Schema:
        """A string; JSON Schema patterns are not anchored."""
        described: Schema = {"type": ["string", "number"], "maxLength": self.max_length}
        return {**described, "pattern": f"^(?:{self.pattern})$"} if self.pattern else described


NAME = Text("a name: letters, digits, - and _, up to 64", r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer in a range, both ends included."""

    minimum: int = 0
    maximum: int = 10_000_000

    def read(self, node: Node, context: ReadContext) -> int:
        """The number."""
        found = scalar(node, "a whole number")
        if not found.plain or not re.fullmatch(r"[-+]?\d{1,18}", found.text, re.ASCII):
            raise FieldError(node, f"expected a whole number, got {describe(node)}")
        value = int(found.text)
        if not self.minimum <= value <= self.maximum:
            raise FieldError(node, f"{value} is out of range: {self.minimum} to {self.maximum}")
        return value

    def schema(self) -> Schema:
        """An integer with its range."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class PositiveNumber:
    """A finite number above 0, with or without a fraction."""

    def read(self, node: Node, context: ReadContext) -> float:
        """The number; NaN and infinities are refused."""
        found = scalar(node, "a number")
        if not found.plain or not re.fullmatch(r"[-+]?\d{1,15}(\.\d{1,15})?", found.text, re.ASCII):
            raise FieldError(node, f"expected a number, got {describe(node)}")
        value = float(found.text)
        if not math.isfinite(value) or value <= 0:
            raise FieldError(node, f"{found.text} must be more than 0")
        return value

    def schema(self) -> Schema:
        """A number above 0."""
        return {"type": "number", "exclusiveMinimum": 0.0}


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    def read(self, node: Node, context: ReadContext) -> bool:
        """The truth value; YAML 1.1's yes and on are not accepted."""
        found = scalar(node, "true or false")
        if not found.plain or found.text not in {"true", "false"}:
            raise FieldError(node, f"expected true or false, got {describe(node)}")
        return found.text == "true"

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; `values` maps each word to its value."""

    values: Mapping[str, Any]

    @classmethod
    def of(cls, *words: str) -> Choice:
        """A choice of words that are their own values."""
        return cls({word: word for word in words})

    def read(self, node: Node, context: ReadContext) -> Any:
        """The value of the word."""
        text = scalar(node, f"one of {', '.join(self.values)}").text
        if text not in self.values:
            near = did_you_mean(text, self.values) or f"; there are: {', '.join(self.values)}"
            raise FieldError(node, f"{shorten(text)!r} is not possible here{near}")
        return self.values[text]

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class TemplateText:
    """Text with `${...}`; the names in it are checked against the data of the file."""

    expected: str = "a text"
    kind: type[Template] = Template

    def read(self, node: Node, context: ReadContext) -> Template:
        """Parse the text, and record the names that it uses."""
        found = scalar(node, self.expected)
        try:
            template = parse_template(found.text)
        except ExpressionError as error:
            raise FieldError(node, f"{shorten(found.text)!r}: {error}") from None
        for path in template.paths:
            context.references.append(Reference(node, "name", path[0], path, context.local))
        return self.kind(template.source, template.parts)

    def schema(self) -> Schema:
        """A string or a number."""
        return {"type": ["string", "number"], "description": f"{self.expected}; ${{name}} inserts data"}


@dataclass(frozen=True, slots=True)
class ReferenceTo:
    """The name of something that the file defines elsewhere: a role, a phase, a signal."""

    kind: str

    def read(self, node: Node, context: ReadContext) -> str:
        """The name; whether it is defined is checked when the whole file has been read."""
        name = scalar(node, f"the name of a {self.kind}").text
        context.refer(node, self.kind, name)
        return name

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "description": f"name of a {self.kind}"}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of items of one type. `or_single`: a scalar is accepted as a list of one item."""

    item: FieldType
    min_items: int = 0
    or_single: bool = False

    def read(self, node: Node, context: ReadContext) -> tuple[Any, ...]:
        """All items. Reports each wrong item, then raises `AlreadyReportedError`."""
        if self.or_single and isinstance(node, ScalarNode):
            return (self.item.read(node, context),)
        if not isinstance(node, SequenceNode):
            raise FieldError(node, f"expected a list, got {describe(node)}")
        if len(node.items) < self.min_items:
            few = "at least one item" if self.min_items == 1 else f"{self.min_items} items"
            raise FieldError(node, f"expected {few}")
        return tuple(read_all([(item, self.item) for item in node.items], context))

    def schema(self) -> Schema:
        """An array."""
        array: Schema = {"type": "array", "items": self.item.schema()}
        if self.min_items:
            array["minItems"] = self.min_items
        return {"anyOf": [self.item.schema(), array]} if self.or_single else array
