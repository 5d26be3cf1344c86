"""The grammar of a whole scenario file: its sections, `audit` among them, and the JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import ATTENDANCE, DURATION
from rtcli.load.scenario.grammar.context import ReadContext, Schema
from rtcli.load.scenario.grammar.data import FEEDER
from rtcli.load.scenario.grammar.field_types import NAME, Boolean, Choice, Integer, Text
from rtcli.load.scenario.grammar.phases import Phases
from rtcli.load.scenario.grammar.roles import ROLE
from rtcli.load.scenario.grammar.sections import Field, MapOf, Section
from rtcli.load.scenario.grammar.steps import STEP
from rtcli.load.scenario.grammar.target import TARGET
from rtcli.load.scenario.grammar.thresholds import Thresholds
from rtcli.load.scenario.nodes import MappingNode, Node

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


class NamedSections:
    """A mapping of names to sections. The names are defined for the whole file as names of this `kind`."""

    def __init__(self, kind: str, section: Section) -> None:
        self.kind = kind
        self.entries = MapOf(NAME, section, min_entries=1, expected=f"a mapping of names to {kind}s")

    def read(self, node: Node, context: ReadContext) -> dict[str, Any]:
        """The values by name. Names of wrong sections are defined too: using those is no mistake."""
        if isinstance(node, MappingNode):
            for key, _ in node.pairs:
                context.define(key, self.kind, key.text)
        return {name: make(name=name) for name, make in self.entries.read(node, context).items()}

    def schema(self) -> Schema:
        """An object."""
        return self.entries.schema()


AUDIT = Section(
    "'audit'",
    {
        "delivery": Field(Choice.of("exactly-once", "at-least-once", "at-most-once", "none"), "exactly-once"),
        "order": Field(
            Choice.of("per-room", "per-publisher", "none"), "what order receivers must see; per-room"
        ),
        "text": Field(
            Choice.of("whole", "token"),
            "whole: texts must come as they were sent; token: the server may change what follows the token",
        ),
        "late_after": Field(DURATION, "later than this counts as late; 2s"),
        "gaps": Field(Choice.of("fail", "allow"), "losses that the server declares; fail"),
        "self_echo": Field(Boolean(), "senders get their own messages; true"),
        "settle": Field(DURATION, "how long to wait at the end for what is still expected; 5s"),
        "evidence": Field(Integer(0, 100_000), "how many violations are kept with their frames; 200"),
    },
    model.AuditRules,
)

SCENARIO = Section(
    "a scenario",
    {
        "name": Field(NAME, "what reports call it", required=True),
        "description": Field(Text(), "the question that it answers"),
        "seed": Field(Integer(0, 2**63 - 1), "fixes everything that is random; 1"),
        "target": Field(TARGET, "what is spoken, and where"),
        "phases": Field(Phases(), "the run's stretches of time", required=True),
        "roles": Field(NamedSections("role", ROLE), "who does what", required=True),
        "data": Field(NamedSections("name", FEEDER), "values for ${name}"),
        "audit": Field(AUDIT, "what the delivery audit holds the deployment to"),
        "attendance": Field(ATTENDANCE, "share of the planned time for which users must be there; 99%"),
        "sends": Field(
            Choice({"on": True, "off": False}), "off: messages that are not accepted fail nothing; on"
        ),
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
