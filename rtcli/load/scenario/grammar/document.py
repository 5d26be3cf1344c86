"""The grammar of a whole scenario file: its sections, `audit` among them, and the JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import DURATION
from rtcli.load.scenario.grammar.context import (
    Reading,
    Reference,
    Schema,
)
from rtcli.load.scenario.grammar.data import FEEDER
from rtcli.load.scenario.grammar.field_types import NAME, Flag, Text, Whole, words
from rtcli.load.scenario.grammar.phases import Phases
from rtcli.load.scenario.grammar.roles import ROLE
from rtcli.load.scenario.grammar.sections import Field, MapOf, Section
from rtcli.load.scenario.grammar.steps import STEP
from rtcli.load.scenario.grammar.target import TARGET
from rtcli.load.scenario.grammar.thresholds import Thresholds
from rtcli.load.scenario.nodes import MappingNode, Node

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


class Named:
    """A mapping of names to sections, each of which learns its own name and becomes known by it."""

    def __init__(self, what: str, section: Section) -> None:
        self.what = what
        self.map = MapOf(NAME, section, least=1, what=f"a mapping of names to {what}s")

    def read(self, node: Node, reading: Reading) -> dict[str, Any]:
        """All of them; the names of wrong ones are known too, so that nobody else is blamed."""
        if isinstance(node, MappingNode):
            reading.references.extend(Reference(key, f"a {self.what}", key.text) for key, _ in node.pairs)
        return {name: make(name=name) for name, make in self.map.read(node, reading).items()}

    def schema(self) -> Schema:
        """An object."""
        return self.map.schema()


AUDIT = Section(
    "'audit'",
    {
        "delivery": Field(words("exactly-once", "at-least-once", "at-most-once", "none"), "exactly-once"),
        "order": Field(words("per-room", "per-publisher", "none"), "what order receivers must see; per-room"),
        "late_after": Field(DURATION, "later than this counts as late; 2s"),
        "gaps": Field(words("fail", "allow"), "losses that the server declares; fail"),
        "self_echo": Field(Flag(), "senders get their own messages; true"),
        "settle": Field(DURATION, "how long to wait at the end for what is still expected; 5s"),
        "evidence": Field(Whole(0, 100_000), "how many violations are kept with their frames; 200"),
    },
    model.AuditRules,
)

SCENARIO = Section(
    "a scenario",
    {
        "name": Field(NAME, "what reports call it", required=True),
        "description": Field(Text(), "the question that it answers"),
        "seed": Field(Whole(0, 2**63 - 1), "fixes everything that is random; 1"),
        "target": Field(TARGET, "what is spoken, and where"),
        "phases": Field(Phases(), "the run's stretches of time", required=True),
        "roles": Field(Named("role", ROLE), "who does what", required=True),
        "data": Field(Named("name", FEEDER), "values for ${name}"),
        "audit": Field(AUDIT, "what the delivery audit holds the deployment to"),
        "thresholds": Field(Thresholds(), "what is good enough"),
    },
    dict,  # completed by the loader, which knows the file
    lenient=True,
)


def json_schema() -> Mapping[str, Any]:
    """JSON Schema (2020-12) of a scenario file."""
    return {
        "$schema": SCHEMA_ID,
        "title": "rtcli load test scenario",
        **SCENARIO.schema(),
        "$defs": {"step": STEP.definition()},
    }
