"""The type of a step, made of a table of the forms in which each kind of step is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rtcli.load.scenario import steps
from rtcli.load.scenario.grammar.context import (
    AlreadyReportedError,
    FieldError,
    FieldType,
    ReadContext,
    Schema,
    describe,
    location_of,
)
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, did_you_mean


@dataclass(frozen=True, slots=True)
class StepForm:
    """How a step is written: `name: value`, or by its name alone if it has a `bare` form."""

    type: FieldType
    example: str
    bare: Callable[..., steps.Step] | None = None


class StepType:
    """One step: a word, or a mapping with one key. `forms` is filled later, since steps contain steps."""

    def __init__(self, forms: Mapping[str, StepForm]) -> None:
        self.forms = forms

    def read(self, node: Node, context: ReadContext) -> steps.Step:
        """Read the step by the form of its name."""
        if isinstance(node, ScalarNode):
            return self._bare(node)
        if not isinstance(node, MappingNode) or not node.pairs:
            raise FieldError(node, f"expected a step, like 'hold' or {{ join: lobby }}, got {describe(node)}")
        (key, value), *more = node.pairs
        if more:
            names = ", ".join(repr(name.text) for name, _ in node.pairs)
            raise FieldError(more[0][0], f"one step per item of the list, got {names}: begin each with '- '")
        if key.text not in self.forms:
            raise FieldError(key, self._unknown(key.text))
        try:
            step: steps.Step = self.forms[key.text].type.read(value, context)
        except FieldError as error:
            prefix = f"{key.text}: " if error.node is value and repr(key.text) not in error.text else ""
            context.report(error.node, prefix + error.text)
            raise AlreadyReportedError from None
        return replace(step, location=location_of(key))

    def _bare(self, node: ScalarNode) -> steps.Step:
        form = self.forms.get(node.text)
        if form is None:
            raise FieldError(node, self._unknown(node.text))
        if form.bare is None:
            raise FieldError(node, f"{node.text!r} alone is not enough: write {form.example}")
        return form.bare(location=location_of(node))

    def _unknown(self, name: str) -> str:
        return f"there is no step {name!r}" + (
            did_you_mean(name, self.forms) or f"; there are: {', '.join(self.forms)}"
        )

    def schema(self) -> Schema:
        """A reference, since steps contain steps."""
        return {"$ref": "#/$defs/step"}

    def definition(self) -> Schema:
        """The schema that `#/$defs/step` refers to."""
        named = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {name: form.type.schema() for name, form in self.forms.items()},
        }
        return {"anyOf": [{"enum": [name for name, form in self.forms.items() if form.bare]}, named]}
