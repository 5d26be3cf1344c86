"""Comparing two runs: what counts as worse, and what cannot be compared at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtcli.load.results.accounts import Accounts, DeliveriesAccount, SendsAccount
from rtcli.load.results.compare import (
    IncomparableError,
    IncompleteError,
    Tolerance,
    against_baseline,
    compare,
)
from rtcli.load.results.model import Generator, MetricSummary, RunResult, Verdict
from tests.support.load.sample_results import (
    ABSENT,
    MISSED,
    PORTS,
    UNSENT,
    accounts,
    audit,
    failing,
    passing,
    result,
    threshold,
    users_account,
)

TOLERANCE = Tolerance()


def with_latency(percent: str, seconds: float | None, metric: str = "fanout_latency") -> RunResult:
    """A run that has this latency at this percentile; None: the metric has no data."""
    run = passing()
    metrics: dict[str, MetricSummary] = dict(run.metrics)
    latency = metrics.pop(metric, metrics["fanout_latency"])
    if seconds is not None:
        percentiles = {**latency.percentiles, percent: seconds}
        med = seconds if percent == "50" else latency.med
        metrics[metric] = replace(latency, med=med, percentiles=percentiles)
    return replace(run, metrics=metrics)


def with_p99(seconds: float) -> RunResult:
    return with_latency("99", seconds)


@pytest.mark.parametrize(
    ("percent", "before", "after", "worse"),
    [
        ("99", 0.2, 0.2, False),
        ("99", 0.2, 0.25, False),  # 25 % are tolerated
        ("99", 0.2, 0.27, True),
        ("99", 0.02, 0.029, False),  # 45 %, and 9 ms
        ("99", 0.02, 0.031, True),
        ("95", 0.02, 0.029, False),
        ("95", 0.02, 0.031, True),
        ("50", 0.01, 0.0149, False),  # 49 %, and 4.9 ms
        ("50", 0.01, 0.0151, True),
        ("99", 0.003, 0.008, False),  # not three times as much
        ("99", 0.003, 0.0091, True),
        ("50", 0.0005, 0.0024, False),  # almost five times as much, and 1.9 ms
        ("50", 0.0005, 0.0026, True),
        ("99", 0.003, 0.018, True),  # six times as much, and only 15 ms
        ("99", 0.2, None, True),  # what was measured before and is not now
        ("99", None, 0.2, False),
    ],
)
def test_worse_needs_a_share_and_an_amount_or_a_multiple(
    percent: str, before: float | None, after: float | None, worse: bool
) -> None:
    found = compare(with_latency(percent, before), with_latency(percent, after), TOLERANCE)
    row = next((row for row in found.rows if row.name == f"fanout_latency p({percent})"), None)
    assert row is not None
    assert row.worse is worse
    assert any(f"p({percent})" in sentence for sentence in found.worse) is worse


def test_every_bound_can_be_set() -> None:
    before, after = with_p99(0.2), with_p99(0.27)
    assert compare(before, after, Tolerance(share=0.4)).worse == []
    assert compare(before, after, Tolerance(tail_floor=0.08)).worse == []
    before, after = with_p99(0.003), with_p99(0.0091)
    assert compare(before, after, Tolerance(factor=4)).worse == []
    assert compare(before, after, Tolerance(factor_floor=0.008)).worse == []
    before, after = with_latency("50", 0.01), with_latency("50", 0.0151)
    assert compare(before, after, Tolerance(floor=0.006)).worse == []


def test_no_recovery_is_not_worse_than_a_recovery_by_chance() -> None:
    before = with_latency("95", 0.2, "recovery_time")
    assert compare(before, with_latency("95", None, "recovery_time"), TOLERANCE).worse == []


def test_better_is_seen_as_well() -> None:
    rows = compare(with_p99(0.2), with_p99(0.1), TOLERANCE).rows
    assert [row.name for row in rows if row.better] == ["fanout_latency p(99)"]


def test_more_violations_are_worse() -> None:
    found = compare(passing(), replace(passing(), audit=audit(lost=1, delivered=99)), TOLERANCE)
    assert found.worse == ["worse than the baseline: lost: 1, before 0"]


def test_whoever_is_missing_comes_before_latency() -> None:
    away = result(
        accounted=Accounts(
            users_account(ABSENT, present=4),
            SendsAccount(10, 10, 3, {"rate_limited": 7}, shortfalls=(UNSENT,)),
            DeliveriesAccount(160, 40, 60, (MISSED,)),
        )
    )
    slow = replace(away, metrics=with_p99(0.9).metrics)
    assert compare(passing(), slow, TOLERANCE).worse == [
        "worse than the baseline: users present: 4, before 10",
        "worse than the baseline: messages accepted: 3, before 10",
        "worse than the baseline: deliveries: 40, before 100",
        "worse than the baseline: absent: 6, before 0",
        "worse than the baseline: unsent: 7, before 0",
        "worse than the baseline: missed: 60, before 0",
        "worse than the baseline: fanout_latency p(99): 900 ms, before 200 ms",
    ]
    assert compare(slow, passing(), TOLERANCE).worse == []


def test_fewer_deliveries_are_worse_although_nothing_is_held_against_the_server() -> None:
    """As with `attendance: off` against a server that was killed."""
    few = result(accounted=accounts(users_account(present=10), deliveries=DeliveriesAccount(69, 69)))
    enough = result(accounted=accounts(deliveries=DeliveriesAccount(71, 71)))
    assert compare(passing(), few, TOLERANCE).worse == ["worse than the baseline: deliveries: 69, before 100"]
    assert compare(passing(), enough, TOLERANCE).worse == []


def test_what_the_generator_lacked_is_not_held_against_the_server() -> None:
    lacking = result(accounted=accounts(users_account(PORTS, present=7)))
    assert compare(passing(), lacking, TOLERANCE).worse == []


INCOMPLETE = {
    "interrupted": (replace(passing(), verdict=Verdict.INTERRUPTED, interrupted_by="SIGTERM"), "by SIGTERM"),
    "broken": (replace(passing(), verdict=Verdict.BROKEN), "a failure of the load generator"),
    "aborted": (result(thresholds=(threshold("failed", aborted=True),)), "early by a threshold"),
    "old": (replace(passing(), accounts=None), "no account of users, sends and deliveries"),
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_only_complete_runs_are_compared(name: str) -> None:
    run, text = INCOMPLETE[name]
    with pytest.raises(IncompleteError, match=f"the baseline .*{text}") as refused:
        compare(run, passing(), TOLERANCE)
    assert refused.value.run is run
    with pytest.raises(IncompleteError, match=f"the run in question .*{text}"):
        compare(passing(), run, TOLERANCE)
    kept = against_baseline(run, with_p99(0.001), TOLERANCE)
    assert (kept.verdict, kept.reasons) == (run.verdict, run.reasons)
    assert any(note.startswith("not compared with the baseline: ") for note in kept.notes)


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


def test_worse_stands_before_what_cannot_be_told() -> None:
    unsure = result(thresholds=(threshold("inconclusive", reason="too slow"),))
    assert unsure.verdict is Verdict.INCONCLUSIVE
    found = against_baseline(replace(unsure, metrics=with_p99(0.5).metrics), with_p99(0.2), TOLERANCE)
    assert found.verdict is Verdict.WORSE
    assert [reason.split(":")[0] for reason in found.reasons] == [
        "worse than the baseline",
        "fanout_latency{phase",
    ]


def test_a_baseline_that_was_not_good_is_mentioned() -> None:
    assert "verdict of the baseline: violation" in compare(failing(), failing(), TOLERANCE).notes
