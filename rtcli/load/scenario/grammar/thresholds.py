"""The grammar of thresholds: `metric{tag:value}` and `p(99) < 250ms`. Those of k6, with units."""

from __future__ import annotations

import re
from typing import Any

from rtcli.load.metrics.names import AGGREGATIONS, METRICS, TAGS, Kind, Metric, Unit
from rtcli.load.scenario.grammar.common_types import DURATION
from rtcli.load.scenario.grammar.context import (
    AlreadyReportedError,
    FieldError,
    ReadContext,
    Schema,
    describe,
    location_of,
    scalar,
)
from rtcli.load.scenario.grammar.field_types import Boolean, Choice, Text
from rtcli.load.scenario.grammar.sections import Field, Section
from rtcli.load.scenario.model import Operator, ThresholdSpec
from rtcli.load.scenario.nodes import MappingNode, Node, ScalarNode, SequenceNode, did_you_mean
from rtcli.protocol.rooms import nfc
from rtcli.units import parse_bytes, parse_duration, parse_percent


class ThresholdError(ValueError):
    """The text is not a threshold; the message says what would be one."""


_SELECTOR = re.compile(r"([A-Za-z_]\w*)(?:\{([^{}]*)\})?", re.ASCII)
_METHOD = r"(?:(avg|min|max|med|count|rate|value)|p\(\s*(\d+(?:\.\d+)?)\s*\))"
_EXPRESSION = re.compile(
    _METHOD + r"\s*(<=|>=|===?|!=|<|>)\s*(\S+(?: (?:us|ms|s|m|h|d|KiB|MiB|GiB|%))?)", re.ASCII
)


def parse_selector(text: str) -> tuple[Metric, dict[str, str]]:
    """Read `metric{tag:value,...}`. Raises `ThresholdError` that names the closest metric or tag."""
    match = _SELECTOR.fullmatch(text.strip())
    if match is None:
        raise ThresholdError(f"{text!r} is not a metric: write name or name{{phase:storm}}")
    metric = METRICS.get(match[1])
    if metric is None:
        raise ThresholdError(f"there is no metric {match[1]!r}{did_you_mean(match[1], METRICS)}")
    tags: dict[str, str] = {}
    for pair in (match[2] or "").split(",") if match[2] is not None else []:
        name, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not value:
            raise ThresholdError(f"{pair.strip()!r} is not a tag: write phase:storm")
        if name not in TAGS:
            raise ThresholdError(
                f"there is no tag {name!r}{did_you_mean(name, TAGS)}; there are: {', '.join(TAGS)}"
            )
        tags[name] = nfc(value) if name == "room" else value
    return metric, tags


def parse_expression(text: str, metric: Metric) -> tuple[str, float | None, Operator, float]:
    """Read `p(99) < 250ms` into aggregation, percentile, operator and bound. Raises `ThresholdError`."""
    match = _EXPRESSION.fullmatch(text.strip())
    if match is None:
        raise ThresholdError(f"{text!r} is not a threshold: write something like {_example(metric)}")
    aggregation = match[1] or "p"
    allowed = AGGREGATIONS[metric.kind]
    if aggregation not in allowed:
        shown = " ".join("p(N)" if name == "p" else name for name in allowed)
        raise ThresholdError(f"{metric.name} is a {metric.kind} and has no {aggregation}: it has {shown}")
    percentile = float(match[2]) if match[2] else None
    if percentile is not None and percentile > 100:
        raise ThresholdError(f"p({match[2]}) is not a percentile: 0 to 100")
    sign = "==" if match[3] == "===" else match[3]
    bound = _bound(match[4], metric, aggregation)
    why = _impossible(sign, bound, metric, aggregation)
    if why:
        raise ThresholdError(f"{text.strip()!r} can never hold: {why}")
    return aggregation, percentile, sign, bound  # type: ignore[return-value] # one of the operators of the grammar


def _example(metric: Metric) -> str:
    return {
        Kind.TREND: "'p(99) < 250ms'",
        Kind.COUNTER: "'count == 0'",
        Kind.RATE: "'rate > 99%'",
        Kind.GAUGE: "'value < 1000'",
    }[metric.kind]


def _bound(text: str, metric: Metric, aggregation: str) -> float:
    """The right-hand side in base units. A duration needs its unit, since a bare number would be a guess."""
    try:
        if aggregation == "count" and metric.kind is Kind.TREND:
            return _plain(text)
        if aggregation == "rate" and metric.kind is Kind.COUNTER:
            text = text.removesuffix("/s")
        if metric.unit is Unit.SECONDS:
            return parse_duration(text)
        if metric.unit is Unit.BYTES:
            return parse_bytes(text)
        if metric.unit is Unit.RATIO:
            return parse_percent(text) if text.endswith("%") else _plain(text)
        return _plain(text)
    except ValueError as error:
        raise ThresholdError(str(error)) from None


def _impossible(sign: str, bound: float, metric: Metric, aggregation: str) -> str:
    """Why no value holds; empty when one may. Nothing that is measured is below 0, and no share above 100 %.

    A share is never compared with more than 100 %, even where that holds always: `rate < 101` lacks its `%`.
    """
    if metric.kind is Kind.RATE and bound > 1:
        near = f": write {bound:g}%" if bound <= 100 else ""
        return f"a share is at most 100%{near}"
    if metric.kind is Kind.RATE and bound == 1 and sign == ">":
        return "a share is at most 100%"
    if bound == 0 and sign == "<":
        return "it is never less than 0"
    if aggregation == "count" and sign == "==" and not bound.is_integer():
        return "a count is a whole number"
    return ""


def _plain(text: str) -> float:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def parse_threshold(text: str) -> ThresholdSpec:
    """Read `fanout_latency{phase:storm}: p(99) < 250ms` (the colon is optional). Raises `ThresholdError`."""
    name, brace, rest = text.strip().partition("}")
    if brace:
        selector, expression = name + brace, rest
    else:
        selector, _, expression = text.strip().replace(":", " ", 1).partition(" ")
    expression = expression.strip().removeprefix(":").strip()
    return _make_spec(*parse_selector(selector), expression)


def _make_spec(
    metric: Metric,
    tags: dict[str, str],
    text: str,
    **options: Any,
) -> ThresholdSpec:
    aggregation, percentile, sign, bound = parse_expression(text, metric)
    return ThresholdSpec(metric.name, tags, aggregation, percentile, sign, bound, text, **options)


_THRESHOLD = Section(
    "a threshold",
    {
        "expr": Field(Text("a threshold, like p(99) < 250ms"), "like p(99) < 250ms", required=True),
        "abort": Field(Boolean(), "end the run as soon as it fails"),
        "after": Field(DURATION, "with `abort`: not before this"),
        "strict": Field(Boolean(), "false: reported, but does not fail the run"),
        "no_data": Field(Choice.of("fail", "pass"), "what it means when nothing was measured; fail"),
    },
    dict,
)


def _read_selector(key: ScalarNode, context: ReadContext) -> tuple[Metric, dict[str, str]]:
    try:
        metric, tags = parse_selector(key.text)
    except ThresholdError as error:
        raise FieldError(key, str(error)) from None
    for kind in ("phase", "role"):
        if kind in tags:
            context.refer(key, kind, tags[kind])
    return metric, tags


class Thresholds:
    """`metric{tag:value}: [expressions]`."""

    def read(self, node: Node, context: ReadContext) -> tuple[ThresholdSpec, ...]:
        """All thresholds, in order. Wrong ones are reported and left out."""
        if not isinstance(node, MappingNode):
            raise FieldError(node, f"expected a mapping of metrics to thresholds, got {describe(node)}")
        found: list[ThresholdSpec] = []
        for key, value in node.pairs:
            items = value.items if isinstance(value, SequenceNode) else [value]
            for item in items or [value]:
                try:
                    found.append(self._read_one(key, item, context))
                except FieldError as error:
                    context.report(error.node, error.text)
                except AlreadyReportedError:
                    continue
        return tuple(found)

    def _read_one(self, key: ScalarNode, item: Node, context: ReadContext) -> ThresholdSpec:
        metric, tags = _read_selector(key, context)
        options: dict[str, Any] = {"location": location_of(item)}
        if isinstance(item, MappingNode):
            options |= _THRESHOLD.read(item, context)
            text, place = options.pop("expr"), item.get("expr") or item
        else:
            text, place = scalar(item, "a threshold, like p(99) < 250ms").text, item
        try:
            return _make_spec(metric, tags, text, **options)
        except ThresholdError as error:
            raise FieldError(place, str(error)) from None

    def schema(self) -> Schema:
        """Metrics, with or without tags, to one or several expressions."""
        one = {"anyOf": [{"type": "string"}, _THRESHOLD.schema()]}
        several = {"anyOf": [*one["anyOf"], {"type": "array", "minItems": 1, "items": one}]}
        names = "|".join(METRICS)
        return {
            "type": "object",
            "patternProperties": {rf"^({names})(\{{.*\}})?$": several},
            "additionalProperties": False,
        }
