"""Types that are made of others: mappings with known or free keys, values of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtcli.load.scenario.grammar.context import (
    AlreadyReportedError,
    FieldError,
    FieldType,
    ReadContext,
    Schema,
    describe,
    location_of,
    read_all,
)
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, SequenceNode, did_you_mean


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a section. `name` is the argument of the section's `build`, if it differs from the key."""

    type: FieldType
    help: str = ""
    required: bool = False
    name: str = ""


class Section:
    """A mapping with known keys, which `build` turns into a value.

    `build` gets the values of the keys that are given, as keyword arguments (with `located`, the `location`
    too); it may raise ValueError for a combination. With `lenient`, it is also called when a required key is
    missing, which is reported. A wrong optional field counts as not given, so that the rest is still checked.
    """

    def __init__(
        self,
        title: str,
        fields: Mapping[str, Field],
        build: Callable[..., Any],
        *,
        located: bool = False,
        lenient: bool = False,
    ) -> None:
        self.title = title
        self.fields = fields
        self.build = build
        self.located = located
        self.lenient = lenient

    def read(self, node: Node, context: ReadContext) -> Any:
        """Read every field and report every mistake, then build."""
        if not isinstance(node, MappingNode):
            raise FieldError(node, f"expected a mapping for {self.title}, got {describe(node)}")
        before = len(context.diagnostics)
        values: dict[str, Any] = {}
        for key, value in node.pairs:
            self._read_field(key, value, context, values)
        missing = [key for key, known in self.fields.items() if known.required and node.get(key) is None]
        if missing:
            wrong = FieldError(node, f"{self.title} needs {' and '.join(repr(key) for key in missing)}")
            if not self.lenient:
                raise wrong
            context.report(wrong.node, wrong.text)
        needed = [known.name or key for key, known in self.fields.items() if known.required]
        if not self.lenient and any(name not in values for name in needed):
            raise AlreadyReportedError
        if self.located:
            values["location"] = location_of(node)
        try:
            return self.build(**values)
        except ValueError as error:
            if len(context.diagnostics) > before:  # likely a consequence of what is reported already
                raise AlreadyReportedError from None
            raise FieldError(node, str(error)) from None

    def _read_field(self, key: ScalarNode, value: Node, context: ReadContext, values: dict[str, Any]) -> None:
        known = self.fields.get(key.text)
        if known is None:
            near = did_you_mean(key.text, self.fields) or f"; {self.title} has: {', '.join(self.fields)}"
            context.report(key, f"{self.title} has no {key.text!r}{near}")
            return
        try:
            values[known.name or key.text] = known.type.read(value, context)
        except FieldError as error:
            context.report(error.node, f"{key.text}: {error.text}" if error.node is value else error.text)
        except AlreadyReportedError:
            pass

    def schema(self) -> Schema:
        """An object that allows nothing else."""
        properties = {
            key: {**known.type.schema(), **({"description": known.help} if known.help else {})}
            for key, known in self.fields.items()
        }
        described: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [key for key, known in self.fields.items() if known.required]
        return {**described, "required": required} if required else described


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with free keys. A wrong entry is reported and left out; the others are still checked."""

    key: FieldType
    value: FieldType
    min_entries: int = 0
    expected: str = "a mapping"

    def read(self, node: Node, context: ReadContext) -> dict[str, Any]:
        """All values by key."""
        if not isinstance(node, MappingNode):
            raise FieldError(node, f"expected {self.expected}, got {describe(node)}")
        if len(node.pairs) < self.min_entries:
            raise FieldError(node, f"expected {self.expected} with at least one entry")
        found: dict[str, Any] = {}
        for key, value in node.pairs:
            try:
                name, content = read_all([(key, self.key), (value, self.value)], context)
            except AlreadyReportedError:
                continue
            found[name] = content
        return found

    def schema(self) -> Schema:
        """An object with free keys."""
        described: Schema = {"type": "object", "additionalProperties": self.value.schema()}
        pattern = self.key.schema().get("pattern")
        if pattern:
            described["propertyNames"] = {"pattern": pattern}
        return {**described, "minProperties": self.min_entries} if self.min_entries else described


@dataclass(frozen=True, slots=True)
class ByShape:
    """A value that can be written in several shapes: as a scalar, a list or a mapping."""

    expected: str
    scalar: FieldType | None = None
    sequence: FieldType | None = None
    mapping: FieldType | None = None

    def read(self, node: Node, context: ReadContext) -> Any:
        """Read the node by the type for its shape."""
        if isinstance(node, ScalarNode):
            field_type = self.scalar
        else:
            field_type = self.sequence if isinstance(node, SequenceNode) else self.mapping
        if field_type is None:
            raise FieldError(node, f"expected {self.expected}, got {describe(node)}")
        return field_type.read(node, context)

    def schema(self) -> Schema:
        """Any of the shapes."""
        types = [one for one in (self.scalar, self.sequence, self.mapping) if one is not None]
        return types[0].schema() if len(types) == 1 else {"anyOf": [one.schema() for one in types]}


@dataclass(frozen=True, slots=True)
class Converted:
    """Another type whose value a function converts, such as the short form of a step into the step."""

    inner: FieldType
    function: Callable[[Any], Any]

    def read(self, node: Node, context: ReadContext) -> Any:
        """Read the value and convert it."""
        return self.function(self.inner.read(node, context))

    def schema(self) -> Schema:
        """The schema of the inner type."""
        return self.inner.schema()
