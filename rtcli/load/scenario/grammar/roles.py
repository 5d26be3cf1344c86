"""The grammar of `roles`."""

from __future__ import annotations

from functools import partial
from typing import Any

from rtcli.load.scenario import model
from rtcli.load.scenario.grammar.common_types import RATE, TIME
from rtcli.load.scenario.grammar.context import Reading, Schema, WrongError, scalar, shorten
from rtcli.load.scenario.grammar.field_types import ListOf, Parsed, Whole, words
from rtcli.load.scenario.grammar.scalars import parse_reconnect
from rtcli.load.scenario.grammar.sections import Field, Mapped, Section
from rtcli.load.scenario.grammar.step_types import label_steps
from rtcli.load.scenario.grammar.steps import FLOW
from rtcli.load.scenario.nodes import Node, did_you_mean
from rtcli.load.scenario.protocols import BUILT_IN, AdapterError, protocol_names, transport_of
from rtcli.units import parse_byte_rate


class ProtocolName:
    """One of ours, or one that an installed package adds; that one is imported here, so that it works."""

    def read(self, node: Node, reading: Reading) -> str:  # noqa: ARG002
        """The name."""
        name = scalar(node, "the name of a protocol").text
        if name in BUILT_IN:
            return name
        known = protocol_names()
        if name not in known:
            near = f"{did_you_mean(name, known)}; there are: {', '.join(known)}"
            raise WrongError(node, f"{shorten(name)!r} is not possible here{near}")
        try:
            transport_of(name)
        except AdapterError as error:
            raise WrongError(node, str(error)) from None
        return name

    def schema(self) -> Schema:
        """An enumeration of those that there are here."""
        return {"enum": protocol_names()}


PROTOCOL = ProtocolName()


def _build_role(*, flow: tuple[Any, ...], **values: Any) -> partial[model.Role]:  # noqa: ANN401
    if ("users" in values) == ("arrivals" in values):
        raise ValueError("a role needs either `users` (how many) or `arrivals` (how often), not both")
    if "users" in values and values.keys() & {"stay", "spread"}:
        raise ValueError("`stay` and `spread` are for roles with `arrivals`")
    return partial(model.Role, flow=label_steps(flow), **values)


ROLE = Section(
    "a role",
    {
        "users": Field(Whole(1, 1_000_000), "how many there are"),
        "arrivals": Field(RATE, "how many come: an open model"),
        "spread": Field(words("poisson", "even"), "how arrivals are spaced; poisson"),
        "stay": Field(TIME, "how long one that arrived stays"),
        "protocol": Field(PROTOCOL, "instead of the target's"),
        "read": Field(
            Parsed(parse_byte_rate, "a read rate, like 2KiB/s", positive=True),
            "read at most so much, by TCP back-pressure",
        ),
        "expect_close": Field(
            Mapped(ListOf(Whole(1000, 4999), least=1, alone=True), frozenset),
            "close codes that are as they should be",
        ),
        "reconnect": Field(
            Parsed(parse_reconnect, "a back-off, like exp(250ms..5s), or never"),
            "after a lost connection; exp(250ms..5s)",
        ),
        "flow": Field(FLOW, "what each of them does", required=True),
    },
    _build_role,
    located=True,
)
