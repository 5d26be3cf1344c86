"""Comparing two runs: what counts as worse, and what cannot be compared at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.results.compare import IncomparableError, Tolerance, against_baseline, compare
from rtcli.load.results.model import Generator, MetricSummary, RunResult, Verdict
from tests.support.load.sample_results import audit, failing, passing

TOLERANCE = Tolerance(0.3, 0.02)


def with_p99(seconds: float | None) -> RunResult:
    run = passing()
    metrics: dict[str, MetricSummary] = dict(run.metrics)
    if seconds is None:
        del metrics["fanout_latency"]
    else:
        latency = metrics["fanout_latency"]
        metrics["fanout_latency"] = replace(latency, percentiles={**latency.percentiles, "99": seconds})
    return replace(run, metrics=metrics)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        (0.2, 0.2, False),
        (0.2, 0.25, False),  # 25 % are tolerated
        (0.2, 0.27, True),
        (0.001, 0.02, False),  # 20 times, and still noise
        (0.001, 0.03, True),
        (0.2, None, True),  # what was measured before and is not now
        (None, 0.2, False),
    ],
)
def test_worse_needs_a_share_and_an_amount(before: float | None, after: float | None, worse: bool) -> None:
    found = compare(with_p99(before), with_p99(after), TOLERANCE)
    row = next((row for row in found.rows if row.name == "fanout_latency p(99)"), None)
    assert row is not None
    assert row.worse is worse
    assert any("p(99)" in sentence for sentence in found.worse) is worse


def test_better_is_seen_as_well() -> None:
    rows = compare(with_p99(0.2), with_p99(0.1), TOLERANCE).rows
    assert [row.name for row in rows if row.better] == ["fanout_latency p(99)"]


def test_more_violations_are_worse() -> None:
    found = compare(passing(), replace(passing(), audit=audit(lost=1, delivered=99)), TOLERANCE)
    assert found.worse == ["worse than the baseline: lost: 1, before 0"]


def test_other_scenarios_and_protocols_cannot_be_compared() -> None:
    with pytest.raises(IncomparableError, match="different scenarios"):
        compare(passing(), replace(passing(), digest="e" * 64), TOLERANCE)
    with pytest.raises(IncomparableError, match="one spoke rtcli"):
        compare(passing(), replace(passing(), protocol="json"), TOLERANCE)


def test_another_machine_is_mentioned() -> None:
    other = replace(
        passing(), environment={"python": "3.12", "system": "Linux"}, generator=Generator(workers=4)
    )
    assert compare(passing(), other, TOLERANCE).notes == ("python: 3.12, before 3.11", "workers: 4, before 1")


def test_the_baseline_can_fail_a_run_that_was_good() -> None:
    found = against_baseline(with_p99(0.5), with_p99(0.2), TOLERANCE)
    assert found.verdict is Verdict.WORSE
    assert found.exit_code == 97
    assert against_baseline(passing(), passing(), TOLERANCE).verdict is Verdict.PASSED
    worse_and_lost = against_baseline(failing(), passing(), TOLERANCE)
    assert worse_and_lost.verdict is Verdict.VIOLATION
    assert any(reason.startswith("worse than the baseline") for reason in worse_and_lost.reasons)
    interrupted = replace(with_p99(0.5), verdict=Verdict.INTERRUPTED, interrupted_by="SIGINT")
    assert against_baseline(interrupted, with_p99(0.2), TOLERANCE).verdict is Verdict.INTERRUPTED
