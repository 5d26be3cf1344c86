"""Kinds of fields that are made of others: mappings with known or free keys, values of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rtcli.load.scenario.grammar.context import (
    FieldKind,
    Reading,
    Schema,
    SkipError,
    WrongError,
    describe,
    location_of,
    read_all,
)
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, SequenceNode, did_you_mean


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a section. `name` is the argument of the builder, when it differs from the key."""

    kind: FieldKind
    help: str = ""
    required: bool = False
    name: str = ""


class Section:
    """A mapping with known keys, which `build` turns into a value.

    `build` gets the values that were given, by keyword (`located`: and the `location`); it may raise
    ValueError for combinations. `lenient`: build also without what is required (which is noted). A wrong
    optional field counts as not given, so that the rest is still checked.
    """

    def __init__(
        self,
        what: str,
        fields: Mapping[str, Field],
        build: Callable[..., Any],
        *,
        located: bool = False,
        lenient: bool = False,
    ) -> None:
        self.what = what
        self.fields = fields
        self.build = build
        self.located = located
        self.lenient = lenient

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401
        """Read every field, note every mistake, then build."""
        if not isinstance(node, MappingNode):
            raise WrongError(node, f"expected a mapping for {self.what}, got {describe(node)}")
        before = len(reading.mistakes)
        values: dict[str, Any] = {}
        for key, value in node.pairs:
            self._read_field(key, value, reading, values)
        missing = [key for key, known in self.fields.items() if known.required and node.get(key) is None]
        if missing:
            wrong = WrongError(node, f"{self.what} needs {' and '.join(repr(key) for key in missing)}")
            if not self.lenient:
                raise wrong
            reading.note(wrong.node, wrong.text)
        needed = [known.name or key for key, known in self.fields.items() if known.required]
        if not self.lenient and any(name not in values for name in needed):
            raise SkipError
        if self.located:
            values["location"] = location_of(node)
        try:
            return self.build(**values)
        except ValueError as error:
            if len(reading.mistakes) > before:  # likely a consequence of what was noted already
                raise SkipError from None
            raise WrongError(node, str(error)) from None

    def _read_field(self, key: ScalarNode, value: Node, reading: Reading, values: dict[str, Any]) -> None:
        known = self.fields.get(key.text)
        if known is None:
            near = did_you_mean(key.text, self.fields) or f"; {self.what} has: {', '.join(self.fields)}"
            reading.note(key, f"{self.what} has no {key.text!r}{near}")
            return
        try:
            values[known.name or key.text] = known.kind.read(value, reading)
        except WrongError as error:
            reading.note(error.node, f"{key.text}: {error.text}" if error.node is value else error.text)
        except SkipError:
            pass

    def schema(self) -> Schema:
        """An object that allows nothing else."""
        properties = {
            key: {**known.kind.schema(), **({"description": known.help} if known.help else {})}
            for key, known in self.fields.items()
        }
        described: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [key for key, known in self.fields.items() if known.required]
        return {**described, "required": required} if required else described


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping with keys of the user's choice. What is wrong is left out, and the rest is still checked."""

    key: FieldKind
    value: FieldKind
    least: int = 0
    what: str = "a mapping"

    def read(self, node: Node, reading: Reading) -> dict[str, Any]:
        """All values by key."""
        if not isinstance(node, MappingNode):
            raise WrongError(node, f"expected {self.what}, got {describe(node)}")
        if len(node.pairs) < self.least:
            raise WrongError(node, f"expected {self.what} with at least one entry")
        found: dict[str, Any] = {}
        for key, value in node.pairs:
            try:
                name, content = read_all([(key, self.key), (value, self.value)], reading)
            except SkipError:
                continue
            found[name] = content
        return found

    def schema(self) -> Schema:
        """An object with free keys."""
        described: Schema = {"type": "object", "additionalProperties": self.value.schema()}
        pattern = self.key.schema().get("pattern")
        if pattern:
            described["propertyNames"] = {"pattern": pattern}
        return {**described, "minProperties": self.least} if self.least else described


@dataclass(frozen=True, slots=True)
class ByShape:
    """A value that can be written short: a word, a list or a mapping."""

    what: str
    scalar: FieldKind | None = None
    sequence: FieldKind | None = None
    mapping: FieldKind | None = None

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401
        """Read it as what its shape says."""
        if isinstance(node, ScalarNode):
            kind = self.scalar
        else:
            kind = self.sequence if isinstance(node, SequenceNode) else self.mapping
        if kind is None:
            raise WrongError(node, f"expected {self.what}, got {describe(node)}")
        return kind.read(node, reading)

    def schema(self) -> Schema:
        """Any of the shapes."""
        kinds = [kind for kind in (self.scalar, self.sequence, self.mapping) if kind is not None]
        return kinds[0].schema() if len(kinds) == 1 else {"anyOf": [kind.schema() for kind in kinds]}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A kind whose value is put through a function, such as a short form into the whole step."""

    kind: FieldKind
    function: Callable[[Any], Any]

    def read(self, node: Node, reading: Reading) -> Any:  # noqa: ANN401
        """Read, then apply."""
        return self.function(self.kind.read(node, reading))

    def schema(self) -> Schema:
        """That of the inner kind."""
        return self.kind.schema()
