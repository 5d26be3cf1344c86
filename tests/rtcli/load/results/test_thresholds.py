"""Thresholds: the grammar, the judgement, no data, windows in which the generator was the bottleneck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.metrics.names import METRICS
from rtcli.load.results.thresholds import evaluate, evaluate_one, to_abort
from rtcli.load.scenario.grammar.thresholds import (
    ThresholdError,
    parse_expression,
    parse_selector,
    parse_threshold,
)
from rtcli.load.scenario.loader import parse_scenario
from rtcli.load.scenario.model import ThresholdSpec
from tests.support.load.scenario_texts import SMALL


@dataclass
class Samples:
    """A distribution that is its samples."""

    values: list[float]

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    @property
    def minimum(self) -> float:
        return min(self.values)

    @property
    def maximum(self) -> float:
        return max(self.values)

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]


@dataclass
class View:
    """What was measured, by metric name; tags are remembered only."""

    trends: dict[str, list[float]] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def trend(self, metric: str, tags: Mapping[str, str]) -> Samples | None:
        self.asked.append(tags)
        return Samples(self.trends[metric]) if metric in self.trends else None

    def count(self, metric: str, tags: Mapping[str, str]) -> float | None:
        self.asked.append(tags)
        return self.numbers.get(metric)

    rate = count
    value = count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fanout_latency: p(99) < 250ms", ("fanout_latency", "p", 99.0, "<", 0.25)),
        ("fanout_latency p(99.9)<=1.5s", ("fanout_latency", "p", 99.9, "<=", 1.5)),
        ("fanout_latency{phase:a,role:b}: med > 2 ms", ("fanout_latency", "med", None, ">", 0.002)),
        ("fanout_latency: count >= 1000", ("fanout_latency", "count", None, ">=", 1000)),
        ("lost: count === 0", ("lost", "count", None, "==", 0)),
        ("lost: rate != 1", ("lost", "rate", None, "!=", 1)),
        ("ws_msgs_received: rate > 100/s", ("ws_msgs_received", "rate", None, ">", 100)),
        ("data_received: count < 1.5MiB", ("data_received", "count", None, "<", 1.5 * 2**20)),
        ("data_received: rate < 10 KiB/s", None),
        ("checks: rate > 99.5%", ("checks", "rate", None, ">", 0.995)),
        ("checks: rate > 0.995", ("checks", "rate", None, ">", 0.995)),
        ("vus: value < 5000", ("vus", "value", None, "<", 5000)),
        ("checks: rate >= 100%", ("checks", "rate", None, ">=", 1.0)),
        ("delivery_ratio: rate == 1", ("delivery_ratio", "rate", None, "==", 1.0)),
        ("fanout_latency: min <= 0ms", ("fanout_latency", "min", None, "<=", 0.0)),
    ],
)
def test_grammar(text: str, expected: tuple[object, ...] | None) -> None:
    if expected is None:
        with pytest.raises(ThresholdError):
            parse_threshold(text)
        return
    spec = parse_threshold(text)
    assert (spec.metric, spec.aggregation, spec.percentile, spec.operator, spec.bound) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fanout_latncy: p(99) < 1s", "did you mean 'fanout_latency'"),
        ("fanout latency: p(99) < 1s", "there is no metric 'fanout'"),
        ("fanout_latency{fase:x}: p(99) < 1s", "did you mean 'phase'"),
        ("fanout_latency{phase:}: p(99) < 1s", "is not a tag"),
        ("fanout_latency: p99 < 1s", "write something like 'p(99) < 250ms'"),
        ("fanout_latency: p(99) = 1s", "is not a threshold"),
        ("fanout_latency: p(101) < 1s", "is not a percentile"),
        ("fanout_latency: p(nan) < 1s", "is not a threshold"),
        ("fanout_latency: p(99) < 250", "write 250s"),
        ("fanout_latency: p(99) < -1s", "is not a duration"),
        ("fanout_latency: p(99) <", "is not a threshold"),
        ("fanout_latency: value < 1s", "is a trend and has no value: it has avg min max med p(N) count"),
        ("lost: avg < 1", "is a counter and has no avg"),
        ("lost: count < 1s", "is not a number"),
        ("lost: count < 1e3", "is not a number"),
        ("checks: rate > 99 percent", "is not a threshold"),
        ("checks: count > 1", "is a rate and has no count"),
        ("", "is not a metric"),
        ("checks: rate > 101%", "'rate > 101%' can never hold: a share is at most 100%"),
        ("checks: rate > 99", "a share is at most 100%: write 99%"),
        ("checks: rate < 101%", "a share is at most 100%"),
        ("checks: rate > 100%", "can never hold"),
        ("checks: rate < 0%", "it is never less than 0"),
        ("lost: count < 0", "'count < 0' can never hold: it is never less than 0"),
        ("lost: count == 0.5", "a count is a whole number"),
        ("fanout_latency: p(99) < 0ms", "'p(99) < 0ms' can never hold: it is never less than 0"),
        ("fanout_latency: count < 0", "can never hold"),
        ("vus: value < 0", "can never hold"),
    ],
)
def test_mistakes(text: str, expected: str) -> None:
    with pytest.raises(ThresholdError) as caught:
        parse_threshold(text)
    assert expected in str(caught.value)


@given(st.text("pfanout_lecy(){}:,.<>=!0123456789 ms%avgcount", max_size=40))
def test_any_text_is_a_threshold_or_the_documented_error(text: str) -> None:
    for metric in (METRICS["fanout_latency"], METRICS["checks"], METRICS["lost"]):
        try:
            parse_expression(text, metric)
        except ThresholdError:
            continue
    try:
        parse_selector(text)
    except ThresholdError:
        return


MEASURED = View(
    {"fanout_latency": [0.1, 0.2, 0.3, 0.4]},
    {"ws_msgs_received": 500.0, "checks": 0.99, "vus": 3.0, "lost": 2.0},
)


@pytest.mark.parametrize(
    ("text", "value", "passes"),
    [
        ("fanout_latency: avg < 251ms", 0.25, True),
        ("fanout_latency: min < 100ms", 0.1, False),
        ("fanout_latency: max <= 400ms", 0.4, True),
        ("fanout_latency: med == 300ms", 0.3, True),
        ("fanout_latency: p(99) < 250ms", 0.4, False),
        ("fanout_latency: count >= 4", 4, True),
        ("ws_msgs_received: count > 500", 500, False),
        ("ws_msgs_received: rate >= 50/s", 50, True),
        ("checks: rate > 99%", 0.99, False),
        ("checks: rate >= 99%", 0.99, True),
        ("vus: value != 3", 3, False),
        ("lost: count == 0", 2, False),
        ("leak: count == 0", 0, True),
    ],
)
def test_judgement(text: str, value: float, passes: bool) -> None:
    found = evaluate_one(parse_threshold(text), MEASURED, 10.0)
    assert found.value == pytest.approx(value)
    assert found.outcome == ("passed" if passes else "failed")
    assert bool(found.reason) is not passes


@pytest.mark.parametrize(
    "text",
    [
        "recovery_time: p(99) < 5s",
        "recovery_time: max >= 0s",
        "ws_sessions: count >= 0",
        "ws_sessions: rate < 5/s",
        "delivery_ratio: rate >= 0%",
        "vus: value >= 0",
    ],
)
def test_no_data_is_a_failure(text: str) -> None:
    spec = parse_threshold(text)
    found = evaluate_one(spec, View(), 10.0)
    assert (found.outcome, found.value, found.reason) == ("failed", None, "there is no data")
    assert evaluate_one(replace(spec, no_data="pass"), View(), 10.0).outcome == "passed"
    empty = View({"recovery_time": []})
    assert evaluate_one(parse_threshold("recovery_time: p(99) < 5s"), empty, 10.0).outcome == "failed"


def test_what_is_not_a_number_fails() -> None:
    view = View({"fanout_latency": [float("nan")]})
    assert evaluate_one(parse_threshold("fanout_latency: avg < 1s"), view, 10.0).outcome == "failed"


def test_a_failure_that_only_the_generator_caused_is_inconclusive() -> None:
    spec = parse_threshold("fanout_latency: max < 250ms")
    found = evaluate_one(spec, MEASURED, 10.0, clean=View({"fanout_latency": [0.1, 0.2]}))
    assert found.outcome == "inconclusive"
    assert "load generator was the bottleneck" in found.reason
    assert "without those windows 200 ms" in found.reason
    assert evaluate_one(spec, MEASURED, 10.0, clean=View()).outcome == "inconclusive"
    assert evaluate_one(spec, MEASURED, 10.0, clean=View({"fanout_latency": [0.3]})).outcome == "failed"
    counter = parse_threshold("lost: count == 0")
    assert evaluate_one(counter, MEASURED, 10.0, clean=View()).outcome == "failed"
    good = parse_threshold("fanout_latency: max < 1s")
    assert evaluate_one(good, MEASURED, 10.0, clean=View()).outcome == "passed"


def test_a_phase_has_its_own_length() -> None:
    text = SMALL.replace("for: 1s }]", "for: 2s }, { name: late, for: 8s }]")
    limits = "thresholds: { 'ws_sessions{phase:late}': 'rate == 1/s', ws_sessions: 'rate < 1/s' }\n"
    view = View(numbers={"ws_sessions": 8.0})
    found = evaluate(parse_scenario(text + limits), view, 10.0)
    assert [threshold.value for threshold in found] == [1.0, 0.8]
    assert [threshold.line for threshold in found] == [5, 5]
    assert {"phase": "late"} in view.asked


def test_a_run_is_ended_by_the_first_that_fails_for_good() -> None:
    def spec(text: str, **values: object) -> ThresholdSpec:
        return replace(parse_threshold(text), **values)  # type: ignore[arg-type]

    failing = spec("lost: count == 0", abort=True, after=5.0)
    specs = [
        spec("fanout_latency: max < 1ms"),
        spec("recovery_time: max < 1ms", abort=True),
        spec("fanout_latency: max < 1s", abort=True),
        failing,
    ]
    assert to_abort(specs, MEASURED, 4.0) is None
    assert to_abort(specs, MEASURED, 5.0) is failing
