"""Kinds of fields that steps are made of: steps themselves, lists of them, and JSON trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rtcli.load.scenario import steps
from rtcli.load.scenario.grammar.context import (
    FieldKind,
    Reading,
    Schema,
    SkipError,
    WrongError,
    describe,
    location_of,
)
from rtcli.load.scenario.grammar.field_types import ListOf, TextTemplate
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, SequenceNode, did_you_mean, plain_value

_TEXT = TextTemplate()


class Tree:
    """Any JSON value; its texts are templates."""

    def __init__(self, *local: str) -> None:
        self.local = frozenset(local)

    def read(self, node: Node, reading: Reading) -> object:
        """Read it, with names that are defined for this tree alone."""
        outer, reading.local = reading.local, self.local
        try:
            return self._read(node, reading)
        finally:
            reading.local = outer

    def _read(self, node: Node, reading: Reading) -> object:
        if isinstance(node, MappingNode):
            return {key.text: self._read(value, reading) for key, value in node.pairs}
        if isinstance(node, SequenceNode):
            return [self._read(item, reading) for item in node.items]
        value = plain_value(node)
        return _TEXT.read(node, reading) if isinstance(value, str) and value else value

    def schema(self) -> Schema:
        """Anything."""
        return {}


@dataclass(frozen=True, slots=True)
class Form:
    """How one step is written: `name: value`, and by its name alone when it has a `bare` form."""

    kind: FieldKind
    example: str
    bare: Callable[..., steps.Step] | None = None


class OneStep:
    """One step: a word, or a mapping with one key. `forms` may be filled later, since steps contain steps."""

    def __init__(self, forms: Mapping[str, Form]) -> None:
        self.forms = forms

    def read(self, node: Node, reading: Reading) -> steps.Step:
        """Read it by its name."""
        if isinstance(node, ScalarNode):
            return self._bare(node)
        if not isinstance(node, MappingNode) or not node.pairs:
            raise WrongError(node, f"expected a step, like 'hold' or {{ join: lobby }}, got {describe(node)}")
        (key, value), *more = node.pairs
        if more:
            names = ", ".join(repr(name.text) for name, _ in node.pairs)
            raise WrongError(more[0][0], f"one step per item of the list, got {names}: begin each with '- '")
        if key.text not in self.forms:
            raise WrongError(key, self._unknown(key.text))
        try:
            step: steps.Step = self.forms[key.text].kind.read(value, reading)
        except WrongError as error:
            prefix = f"{key.text}: " if error.node is value and repr(key.text) not in error.text else ""
            reading.note(error.node, prefix + error.text)
            raise SkipError from None
        return replace(step, location=location_of(key))

    def _bare(self, node: ScalarNode) -> steps.Step:
        form = self.forms.get(node.text)
        if form is None:
            raise WrongError(node, self._unknown(node.text))
        if form.bare is None:
            raise WrongError(node, f"{node.text!r} alone is not enough: write {form.example}")
        return form.bare(location=location_of(node))

    def _unknown(self, name: str) -> str:
        return f"there is no step {name!r}" + (
            did_you_mean(name, self.forms) or f"; there are: {', '.join(self.forms)}"
        )

    def schema(self) -> Schema:
        """A reference: steps contain steps."""
        return {"$ref": "#/$defs/step"}

    def definition(self) -> Schema:
        """What `#/$defs/step` refers to."""
        named = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {name: form.kind.schema() for name, form in self.forms.items()},
        }
        return {"anyOf": [{"enum": [name for name, form in self.forms.items() if form.bare]}, named]}


@dataclass(frozen=True, slots=True)
class Flow:
    """A list of steps, at least one."""

    step: OneStep

    def read(self, node: Node, reading: Reading) -> tuple[steps.Step, ...]:
        """All steps; all their mistakes are noted."""
        found: tuple[steps.Step, ...] = ListOf(self.step, least=1).read(node, reading)
        return found

    def schema(self) -> Schema:
        """An array of steps."""
        return ListOf(self.step, least=1).schema()


def label_steps(flow: tuple[steps.Step, ...], prefix: str = "") -> tuple[steps.Step, ...]:
    """Give each step its place as a label: `2.join`, inside a loop `3.1.send`."""
    return tuple(_labelled(step, f"{prefix}{number}.") for number, step in enumerate(flow, 1))


def _labelled(step: steps.Step, prefix: str) -> steps.Step:
    label = prefix + type(step).__name__.removesuffix("Step").lower()
    if isinstance(step, steps.Loop):
        return replace(step, label=label, steps=label_steps(step.steps, prefix))
    if isinstance(step, steps.Choose):
        choices = tuple(
            steps.Choice(choice.weight, label_steps(choice.steps, f"{prefix}{number}."))
            for number, choice in enumerate(step.choices, 1)
        )
        return replace(step, label=label, choices=choices)
    return replace(step, label=label)
