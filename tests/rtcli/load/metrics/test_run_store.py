"""The store of a run: folding changes what it takes, and nothing that it says."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.metrics.histogram import INDEX_BITS, Histogram, bucket_index
from rtcli.load.metrics.run_store import MAX_INTERVALS, RECENT_S, STEPS, Counts, History, RunStore
from rtcli.load.metrics.store import Bins, MetricStore

LENGTH = 4_000.0
BINS = Bins([("ramp", 1.5), ("steady", 3_000.25), ("drain", LENGTH - 3_001.75)])
PHASES = ("ramp", "steady", "drain")
TAGS = ({"role": "reader"}, {"role": "reader", "room": "a"}, {"role": "writer"})


def level_of(second: int) -> int:
    """Every seventh second is useless for a tight threshold, every 21st for all."""
    return (second % 7 == 0) + (second % 21 == 0)


def counts(histogram: Histogram | None) -> dict[int, int]:
    return {} if histogram is None else dict(histogram.items())


def test_steps_divide_each_other() -> None:
    assert all(later % earlier == 0 for earlier, later in pairwise(STEPS))


@given(st.integers(0, 1 << 30), st.integers(1, 100))
def test_a_folded_run_says_what_an_unfolded_one_says(seed: int, batches: int) -> None:
    rng = Random(seed)
    plain, folded = MetricStore(BINS), RunStore(BINS, level_of)
    good: Counter[int] = Counter()  # of the steady phase, in good seconds
    now = 0.0
    for _ in range(batches):
        worker = MetricStore(BINS)
        now = min(LENGTH, now + rng.expovariate(batches / LENGTH))
        for _ in range(rng.randint(0, 6)):
            at = max(0.0, now - rng.choice([0.5, 3.0, RECENT_S, 200.0]) * rng.random())  # some come late
            value, tags = round(rng.lognormvariate(8, 2)), rng.choice(TAGS)
            worker.recorder("fanout_latency", **tags).record(BINS.at(at), value)
            worker.recorder("errors", code="x").add(BINS.at(at), 2)
            worker.recorder("checks").check(BINS.at(at), good=value > 2_000)
            if BINS.phase(BINS.at(at)) == "steady" and not level_of(BINS.second(BINS.at(at))):
                good[bucket_index(value)] += 1
        taken = worker.drain()
        plain.merge(taken)
        folded.merge(taken)
        if rng.random() < 0.5:
            folded.fold(now)
    if rng.random() < 0.5:
        folded.fold(math.inf)
    for phase in ({}, *({"phase": name} for name in PHASES)):
        for tags in ({}, *TAGS):
            wanted = {**phase, **tags}
            found, expected = (store.trend("fanout_latency", wanted) for store in (folded, plain))
            assert counts(found) == counts(expected)
        assert folded.count("errors", phase) == plain.count("errors", phase)
        assert folded.rate("checks", phase) == plain.rate("checks", phase)
    assert counts(folded.within(0).trend("fanout_latency", {"phase": "steady"})) == good
    assert counts(folded.within(2).trend("fanout_latency", {})) == counts(plain.trend("fanout_latency", {}))
    whole = Histogram()
    starts = []
    for start, histogram in folded.intervals("fanout_latency"):
        starts.append(start)
        whole.add(histogram.items())
    assert counts(whole) == counts(plain.trend("fanout_latency", {}))
    assert starts == sorted(set(starts))
    assert all(start % folded.step == 0 for start in starts)


def test_intervals_get_longer_with_the_run() -> None:
    store, steps = RunStore(BINS), {}
    for second in range(int(LENGTH)):
        store.recorder("fanout_latency").record(BINS.at(second), 1_000 + second)
        store.fold(second)
        steps[store.step] = second
        assert sum(1 for _ in store.recorder("fanout_latency").counts) <= RECENT_S + 3
    assert steps == {1: MAX_INTERVALS + RECENT_S, 5: 5 * MAX_INTERVALS + RECENT_S, 10: LENGTH - 1}
    found = {start: histogram.count for start, histogram in store.intervals("fanout_latency")}
    assert found == dict.fromkeys(range(0, int(LENGTH), 10), 10)


def test_a_short_run_has_seconds() -> None:
    store = RunStore(Bins([("run", 3.0)]))
    for at, value in ((0.1, 1000), (2.1, 3000), (2.2, 5000)):
        store.recorder("fanout_latency").record(store.bins.at(at), value)
    store.recorder("close", code="1006").add(store.bins.at(2.0), 3)
    assert store.sums("fanout_latency") == {0: 1, 2: 2}
    recent = store.recent("fanout_latency", range(1, 3))
    assert counts(recent) == {bucket_index(3000): 1, bucket_index(5000): 1}
    store.fold(math.inf)
    assert store.sums("fanout_latency") == {0: 1, 2: 2}
    assert store.sums("close") == {2: 3}
    assert store.sums("lost") == {}
    assert not store.recorder("fanout_latency").counts


@pytest.mark.parametrize("folded", [False, True])
def test_late_samples_are_counted_where_they_were(folded: bool) -> None:
    store = RunStore(BINS, level_of)
    for at, value, role in ((0.5, 5, "a"), (1.6, 50, "a"), (8.0, 60, "b"), (3_500.0, 70, "b")):
        store.recorder("fanout_latency", role=role).record(BINS.at(at), value)
    if folded:
        store.fold(math.inf)
    assert store.count_above("fanout_latency", bucket_index(49), "late") == 3
    assert store.count("late", {}) == 3
    assert store.count("late", {"role": "a"}) == 1
    assert store.count("late", {"phase": "drain"}) == 1
    assert store.within(0).count("late", {}) == 2  # 3 500 is a seventh second


@given(
    st.dictionaries(st.integers(0, (1 << INDEX_BITS) - 1), st.integers(1, 1 << 50), min_size=1, max_size=50)
)
def test_what_is_compressed_comes_back(wanted: dict[int, int]) -> None:
    history, kept = History(), Counts()
    for index, count in wanted.items():
        history.add(7, index, count)
        kept.add(index, count)
    history.close(8)
    assert history.starts() == {7}
    assert dict(history.items(7)) == wanted
    assert dict(kept.items()) == wanted
