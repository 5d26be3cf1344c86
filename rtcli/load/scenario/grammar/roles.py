"""The grammar of `roles`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from rtcli.load.scenario import model, steps
from rtcli.load.scenario.grammar.common_types import ATTENDANCE, PROTOCOL, RATE, SHARE, TIME, CloseName
from rtcli.load.scenario.grammar.field_types import Choice, Integer, ListOf, Parsed, ReferenceTo, Text
from rtcli.load.scenario.grammar.scalars import parse_reconnect
from rtcli.load.scenario.grammar.sections import ByShape, Converted, Field, Section
from rtcli.load.scenario.grammar.steps import FLOW
from rtcli.units import parse_byte_rate


def _label_steps(flow: tuple[steps.Step, ...], prefix: str = "") -> tuple[steps.Step, ...]:
    """Give each step its place as a label: `2.join`, inside a loop `3.1.send`."""
    return tuple(_label_step(step, f"{prefix}{number}.") for number, step in enumerate(flow, 1))


def _label_step(step: steps.Step, prefix: str) -> steps.Step:
    label = prefix + type(step).__name__.removesuffix("Step").lower()
    if isinstance(step, steps.Loop):
        return replace(step, label=label, steps=_label_steps(step.steps, prefix))
    if isinstance(step, steps.Choose):
        choices = tuple(
            steps.Choice(choice.weight, _label_steps(choice.steps, f"{prefix}{number}."))
            for number, choice in enumerate(step.choices, 1)
        )
        return replace(step, label=label, choices=choices)
    return replace(step, label=label)


_ERROR_CODE = Text("the code of an error, like rate_limited, http_503 or close_1013", r"[\w.:-]{1,64}")

EXPECTED_ERRORS = ListOf(
    ByShape(
        "the code of an error, or a mapping with code, share and phase",
        scalar=Converted(_ERROR_CODE, model.ExpectedError),
        mapping=Section(
            "an expected error",
            {
                "code": Field(
                    _ERROR_CODE, "rate_limited, http_503, close_1013, no_answer ...", required=True
                ),
                "share": Field(SHARE, "at most this share of the role's sends, or users; 100%"),
                "phase": Field(ReferenceTo("phase"), "in this phase alone; in all of them"),
            },
            model.ExpectedError,
        ),
    ),
    min_items=1,
    or_single=True,
)


def _build_role(*, flow: tuple[Any, ...], **values: Any) -> partial[model.Role]:
    if ("users" in values) == ("arrivals" in values):
        raise ValueError("a role needs either `users` (how many) or `arrivals` (how often), not both")
    if "users" in values and values.keys() & {"stay", "spread"}:
        raise ValueError("`stay` and `spread` are for roles with `arrivals`")
    return partial(model.Role, flow=_label_steps(flow), **values)


ROLE = Section(
    "a role",
    {
        "users": Field(Integer(1, 1_000_000), "how many there are"),
        "arrivals": Field(RATE, "how many come: an open model"),
        "spread": Field(Choice.of("poisson", "even"), "how arrivals are spaced; poisson"),
        "stay": Field(TIME, "how long one that arrived stays"),
        "protocol": Field(PROTOCOL, "instead of the target's"),
        "read": Field(
            Parsed(parse_byte_rate, "a read rate, like 2KiB/s", positive=True),
            "read at most so much, by TCP back-pressure",
        ),
        "expect_close": Field(
            Converted(ListOf(CloseName(), min_items=1, or_single=True), frozenset),
            "close codes that are as they should be; stream_ended or stream_broken for an event stream",
        ),
        "expect_errors": Field(
            EXPECTED_ERRORS, "errors that sends and connects may end with: codes, or code, share and phase"
        ),
        "reconnect": Field(
            Parsed(parse_reconnect, "a back-off, like exp(250ms..5s), or never"),
            "after a lost connection; exp(250ms..5s)",
        ),
        "attendance": Field(
            ATTENDANCE, "share of its planned time for which it must be there; the scenario's"
        ),
        "flow": Field(FLOW, "what each of them does", required=True),
    },
    _build_role,
    located=True,
)
