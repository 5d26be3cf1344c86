from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rtcli.load.metrics.histogram import INDEX_BITS, Histogram, bucket_bounds, bucket_index

values = st.integers(0, 2**53 - 1)


@given(values)
def test_a_value_lies_within_its_bucket_and_the_bucket_is_narrow(value: int) -> None:
    index = bucket_index(value)
    low, high = bucket_bounds(index)
    assert low <= value <= high
    assert high - low <= value / 1000
    assert index < 1 << INDEX_BITS
    assert bucket_bounds(index + 1)[0] == high + 1


@given(values, values)
def test_order_is_kept(first: int, second: int) -> None:
    assert (first <= second) == (bucket_index(first) <= bucket_index(second)) or (
        bucket_index(first) == bucket_index(second)
    )


def test_values_below_zero_count_as_zero() -> None:
    assert bucket_index(-5) == 0


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.floats(0, 100))
def test_percentiles_are_those_of_the_sorted_values(samples: list[int], percent: float) -> None:
    histogram = Histogram()
    for sample in samples:
        histogram.record(sample)
    rank = max(1, math.ceil(round(percent / 100 * len(samples), 9)))
    exact = sorted(samples)[rank - 1]
    assert abs(histogram.percentile(percent) * 1e6 - exact) <= max(exact / 1000, 0.001)


@given(st.lists(values, max_size=100), st.lists(values, max_size=100))
def test_merging_loses_nothing(first: list[int], second: list[int]) -> None:
    apart, together = Histogram(), Histogram()
    other = Histogram()
    for value in first:
        apart.record(value)
        together.record(value)
    for value in second:
        other.record(value)
        together.record(value)
    apart.add(other.items())
    assert apart.counts == together.counts


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=100))
def test_summary_values(samples: list[int]) -> None:
    histogram = Histogram()
    for sample in samples:
        histogram.record(sample)
    assert histogram.count == len(samples)
    assert abs(histogram.mean * 1e6 - sum(samples) / len(samples)) <= max(samples) / 1000 + 0.5
    assert histogram.minimum * 1e6 <= min(samples) + 0.5
    assert histogram.maximum * 1e6 >= max(samples) - 0.5
    spectrum = histogram.spectrum([0, 50, 100])
    assert [value for _, value in spectrum] == sorted(value for _, value in spectrum)


def test_an_empty_histogram_has_zeros() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.mean, histogram.minimum, histogram.maximum) == (0, 0.0, 0.0, 0.0)
    assert histogram.percentile(99) == 0.0
