"""Distributions have their mean and bounds, and a seed repeats their samples."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.scenario.distributions import Backoff, Const, Distribution, Zipf
from rtcli.load.scenario.grammar.scalars import parse_distribution

TEXTS = [
    "3s",
    "const(3s)",
    "uniform(1s, 5s)",
    "exp(3s)",
    "normal(3s, 500ms)",
    "lognormal(2s, 0.8)",
    "pareto(1s, 3)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_mean_of_many_samples_is_the_mean(text: str) -> None:
    distribution = parse_distribution(text)
    rng = Random(5)
    samples = [distribution.sample(rng) for _ in range(20_000)]
    assert sum(samples) / len(samples) == pytest.approx(distribution.mean, rel=0.05)
    assert min(samples) >= 0


@pytest.mark.parametrize("text", TEXTS)
def test_a_seed_repeats_the_samples(text: str) -> None:
    def draw(distribution: Distribution) -> list[float]:
        rng = Random(9)
        return [distribution.sample(rng) for _ in range(5)]

    assert draw(parse_distribution(text)) == draw(parse_distribution(text))


def test_edges() -> None:
    assert Const(0).sample(Random(1)) == 0
    assert parse_distribution("exp(0s)").sample(Random(1)) == 0
    assert parse_distribution("uniform(2s, 2s)").sample(Random(1)) == 2
    assert parse_distribution("uniform(1s..5s)").mean == 3
    assert parse_distribution("pareto(1s, 1)").mean == math.inf
    assert parse_distribution("normal(0s, 10s)").sample(Random(2)) >= 0


def test_zipf_draws_in_the_proportion_of_its_shares() -> None:
    zipf, rng = Zipf(1.0), Random(3)
    drawn = [zipf.index(rng, 4) for _ in range(20_000)]
    shares = zipf.shares(4)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(2 * shares[1])
    for place, share in enumerate(shares):
        assert drawn.count(place) / len(drawn) == pytest.approx(share, rel=0.1)


@given(st.floats(0.01, 5), st.integers(1, 1000), st.integers())
def test_zipf_stays_in_the_list(exponent: float, count: int, seed: int) -> None:
    assert 0 <= Zipf(exponent).index(Random(seed), count) < count


@given(st.integers(0, 10_000), st.integers())
def test_a_backoff_never_exceeds_its_cap(attempt: int, seed: int) -> None:
    assert 0 <= Backoff(0.25, 5.0).delay(Random(seed), attempt) <= 5


def test_a_backoff_doubles_up_to_its_cap() -> None:
    backoff = Backoff(0.25, 5.0, jitter=False)
    assert [backoff.delay(Random(1), attempt) for attempt in range(6)] == [0.25, 0.5, 1, 2, 4, 5]
