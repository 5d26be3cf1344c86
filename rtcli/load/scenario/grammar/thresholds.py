"""The grammar of thresholds: `metric{tag:value}` and `p(99) < 250ms`. k6's, with units."""

from __future__ import annotations

import re

from rtcli.load.metrics.names import AGGREGATIONS, METRICS, TAGS, Kind, Metric, Unit
from rtcli.load.metrics.units import closest, parse_bytes, parse_percent
from rtcli.load.scenario.model import Operator
from rtcli.units import parse_duration


class ThresholdError(ValueError):
    """The threshold cannot be understood; the text says what would."""


_SELECTOR = re.compile(r"([A-Za-z_]\w*)(?:\{([^{}]*)\})?", re.ASCII)
_METHOD = r"(?:(avg|min|max|med|count|rate|value)|p\(\s*(\d+(?:\.\d+)?)\s*\))"
_EXPRESSION = re.compile(
    _METHOD + r"\s*(<=|>=|===?|!=|<|>)\s*(\S+(?: (?:us|ms|s|m|h|d|KiB|MiB|GiB|%))?)", re.ASCII
)


def parse_selector(text: str) -> tuple[Metric, dict[str, str]]:
    """Read `metric{tag:value,...}`. Raises `ThresholdError` naming the closest metric or tag."""
    match = _SELECTOR.fullmatch(text.strip())
    if match is None:
        raise ThresholdError(f"{text!r} is not a metric: write name or name{{phase:storm}}")
    metric = METRICS.get(match[1])
    if metric is None:
        raise ThresholdError(f"there is no metric {match[1]!r}{closest(match[1], METRICS)}")
    tags: dict[str, str] = {}
    for pair in (match[2] or "").split(",") if match[2] is not None else []:
        name, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not value:
            raise ThresholdError(f"{pair.strip()!r} is not a tag: write phase:storm")
        if name not in TAGS:
            raise ThresholdError(
                f"there is no tag {name!r}{closest(name, TAGS)}; there are: {', '.join(TAGS)}"
            )
        tags[name] = value
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
    return aggregation, percentile, sign, _bound(match[4], metric, aggregation)  # type: ignore[return-value]


def _example(metric: Metric) -> str:
    return {
        Kind.TREND: "'p(99) < 250ms'",
        Kind.COUNTER: "'count == 0'",
        Kind.RATE: "'rate > 99%'",
        Kind.GAUGE: "'value < 1000'",
    }[metric.kind]


def _bound(text: str, metric: Metric, aggregation: str) -> float:
    """The right-hand side in base units; a bare number for a duration would be a guess: it needs its unit."""
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


def _plain(text: str) -> float:
    if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError(f"{text!r} is not a number")
    return float(text)
