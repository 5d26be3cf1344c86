"""Which seconds are flagged, and why: decided from what workers report, without processes."""

from __future__ import annotations

import pytest

from rtcli.load.metrics.store import Bins, MetricStore, Snapshot
from rtcli.load.run.health.processor_time import TakenTime
from rtcli.load.run.health.seconds import DEFAULT_LIMIT_S, Health, lag_limit, lag_limits, stall_limit
from rtcli.load.scenario.model import ThresholdSpec
from tests.support.load.runs import scenario

BINS = Bins([("run", 60.0)])


def thresholds(text: str) -> tuple[ThresholdSpec, ...]:
    return scenario(
        f"""
        name: limits
        phases: [{{ name: run, for: 1s }}]
        roles: {{ reader: {{ users: 1, flow: [connect, hold] }} }}
        thresholds: {text}
        """
    ).thresholds


def health(*limits: float) -> Health:
    return Health(limits or (0.01,), BINS, cores=2)


def probes(metric: str, second: int, late_ms: list[float]) -> Snapshot:
    store = MetricStore(BINS)
    for late in late_ms:
        store.recorder(metric).record(BINS.at(second + 0.5), round(late * 1000))
    return store.drain()


def flagged(of: Health) -> dict[int, str]:
    of.finish()
    return {second: of.reason(second) for second in of.flagged(range(60))}


def test_limits_follow_the_thresholds() -> None:
    specs = thresholds(
        '{ fanout_latency: ["p(99) < 250ms", "max < 2s"], lost: ["count == 0"], send_ack: ["p(50) < 5ms"] }'
    )
    assert [lag_limit(spec) for spec in specs] == [0.025, 0.2, None, 0.01]
    assert lag_limits(specs) == [0.01, 0.025, 0.2]
    assert stall_limit(specs) == 0.02  # two probes
    assert lag_limits(thresholds('{ lost: ["count == 0"] }')) == [DEFAULT_LIMIT_S]


def test_a_good_generator_flags_nothing() -> None:
    of = health()
    for second in range(5):
        of.add_samples(0, probes("loop_lag", second, [1.0] * 99 + [30.0]))
        of.add_samples(0, probes("schedule_lag", second, [5.0] * 10))
        of.add_cpu_share(second, 0.5)
        of.add_taken(0, second, TakenTime(0.05, 0.0))
    assert flagged(of) == {}


@pytest.mark.parametrize("metric", ["loop_lag", "schedule_lag"])
def test_one_late_worker_among_many_is_enough(metric: str) -> None:
    of = health()
    for worker in range(16):
        of.add_samples(worker, probes(metric, 3, [25.0 if worker == 7 else 1.0] * 20))
    (found,) = flagged(of).items()
    assert found[0] == 3
    assert "25 ms late (p99)" in found[1]


def test_a_second_is_judged_by_all_its_samples() -> None:
    of = health()
    of.add_samples(0, probes("loop_lag", 3, [25.0]))  # the tick came in the middle of the second
    of.add_samples(0, probes("loop_lag", 3, [1.0] * 200))
    of.add_samples(0, probes("loop_lag", 4, [1.0] * 100))
    assert flagged(of) == {}


def test_a_stall_counts_by_what_thresholds_need() -> None:
    of = health(0.01, 0.05, 0.2)
    of.add_stall(10.95, 11.05)
    assert [of.level(second) for second in (8, 9, 10, 11, 12)] == [0, 2, 2, 2, 0]
    assert of.reason(10) == "the event loop of a worker stood still for 100 ms"
    assert [of.level_of(limit) for limit in (0.01, 0.05, 0.2)] == [0, 1, 2]  # so good for the last alone
    of.add_stall(30.5, 30.52)
    assert flagged(of).keys() == {9, 10, 11, 30}
    assert of.stalls == 2


def test_what_makes_a_second_useless_for_every_threshold() -> None:
    of = health(0.01, 10.0)
    of.add_cpu_share(2, 0.97)
    of.add_taken(0, 4, TakenTime(0.5, 0.0))
    of.add_taken(1, 4, TakenTime(0.5, 0.0))
    of.add_taken(0, 6, TakenTime(0.0, 0.25))
    assert [of.level(second) for second in (2, 4, 6)] == [2, 2, 2]
    assert flagged(of) == {
        2: "a worker used 97 % of its core",
        4: "the hypervisor took 25 % of the processors",
        6: "a quota held processes back for 250 ms",
    }
    assert (of.stolen, of.throttled) == (0.5, 0.25)  # both workers tell that of the one machine


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (TakenTime(0.0, 0.0), ""),
        (TakenTime(0.01, 0.01), ""),  # too little to be why
        (TakenTime(0.0, 0.04), ", held back by a quota for 40 ms"),
        (TakenTime(0.08, 0.0), ", while the hypervisor took 4 % of the processors"),
    ],
)
def test_who_took_the_time_is_named(taken: TakenTime, why: str) -> None:
    of = health()
    of.add_stall(5.5, 5.55)
    of.add_taken(0, 5, taken)
    assert of.reason(5) == f"the event loop of a worker stood still for 50 ms{why}"
