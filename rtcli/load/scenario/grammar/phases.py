"""The grammar of `phases`."""

from __future__ import annotations

from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import DURATION, KILL, SHARE, TIMEOUT
from rtcli.load.scenario.grammar.context import ReadContext, Schema
from rtcli.load.scenario.grammar.field_types import NAME, Choice, ListOf, Parsed, ReferenceTo
from rtcli.load.scenario.grammar.scalars import parse_factor, parse_ramp
from rtcli.load.scenario.grammar.sections import ByShape, Field, MapOf, Section
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, SequenceNode
from rtcli.load.scenario.steps import Kill

_RAMP = Parsed(parse_ramp, "a share of the users, like 0 -> 100%", numbers=True)


def _build_cut(**values: Any) -> model.Cut:
    return model.Cut(**{"share": 1.0, "how": Kill.RST, **values})


_CUT = Section(
    "'cut'",
    {
        "roles": Field(
            ListOf(ReferenceTo("role"), min_items=1, or_single=True), "whose connections die", required=True
        ),
        "share": Field(SHARE, "how many of them; 100%"),
        "how": Field(KILL, "rst, fin or blackhole; rst"),
        "at": Field(DURATION, "how long after the start of the phase; 0s"),
    },
    _build_cut,
)


def _build_phase(*, users: object = None, **values: Any) -> dict[str, Any]:
    cut = values.get("cut")
    if cut is not None and cut.at >= values["duration"]:
        raise ValueError(f"the cut comes after {cut.at:g} s, when the phase is over")
    return {**values, "users": users}


_PHASE = Section(
    "a phase",
    {
        "name": Field(NAME, "what reports and thresholds call it", required=True),
        "for": Field(TIMEOUT, "how long it lasts", required=True, name="duration"),
        "users": Field(
            ByShape(
                "a share of the users, or one for each role",
                scalar=_RAMP,
                mapping=MapOf(ReferenceTo("role"), _RAMP, expected="a mapping of roles to shares"),
            ),
            "how many of each role's users are there: 0 -> 100%; as before when not given",
        ),
        "rates": Field(
            Parsed(parse_factor, "a factor, like x4", r"^x ?\d+(\.\d+)?$"), "multiplies every send rate"
        ),
        "cut": Field(_CUT, "lose connections"),
        "publish": Field(Choice.of("stop"), "stop: nothing new is sent"),
    },
    _build_phase,
)


def _resolve_users(
    given: model.Ramp | dict[str, model.Ramp] | None, before: model.Phase | None
) -> tuple[model.Ramp, dict[str, model.Ramp]]:
    """The ramp of all users and those of single roles. Without one, the level of the phase before holds."""
    if isinstance(given, model.Ramp):
        return given, {}
    level = before.users.end if before else 1.0
    held = (
        {role: model.Ramp(ramp.end, ramp.end) for role, ramp in before.role_users.items()} if before else {}
    )
    return model.Ramp(level, level), {**held, **(given or {})}


class Phases:
    """The list of phases; each begins where the one before ended."""

    _list = ListOf(_PHASE, min_items=1)

    def read(self, node: Node, context: ReadContext) -> tuple[model.Phase, ...]:
        """All phases, with the users of each resolved."""
        phases: list[model.Phase] = []
        items = node.items if isinstance(node, SequenceNode) else []
        self._define(items, context)
        for values, item in zip(self._list.read(node, context), items, strict=True):
            if any(phase.name == values["name"] for phase in phases):
                context.report(item, f"there are two phases {values['name']!r}")
            users, role_users = _resolve_users(values.pop("users"), phases[-1] if phases else None)
            publish = values.pop("publish", None) is None
            phases.append(model.Phase(users=users, role_users=role_users, publish=publish, **values))
        return tuple(phases)

    @staticmethod
    def _define(items: list[Node], context: ReadContext) -> None:
        """Define the names of all phases, wrong ones included: using those is no mistake."""
        for item in items:
            name = item.get("name") if isinstance(item, MappingNode) else None
            if isinstance(name, ScalarNode):
                context.define(name, "phase", name.text)

    def schema(self) -> Schema:
        """An array of phases."""
        return self._list.schema()
