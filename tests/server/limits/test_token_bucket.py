from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtcli_server.limits.token_bucket import TokenBucket


def taken(bucket: TokenBucket, now: float, count: int) -> list[bool]:
    return [bucket.take(now) == 0.0 for _ in range(count)]


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10, 5, 100.0)
    assert taken(bucket, 100.0, 7) == [True] * 5 + [False] * 2
    assert 0.099 < bucket.take(100.0) <= 0.1
    assert bucket.take(100.09) > 0.0
    assert taken(bucket, 100.101, 2) == [True, False]
    assert taken(bucket, 200.0, 6) == [True] * 5 + [False]


def test_a_burst_of_nothing_is_one() -> None:
    bucket = TokenBucket(2, 0, 0.0)
    assert taken(bucket, 0.0, 2) == [True, False]
    assert taken(bucket, 0.4, 1) == [False]
    assert taken(bucket, 0.6, 1) == [True]


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(1, 1, 0.0)
    assert taken(bucket, 0.0, 1) == [True]
    for tenth in range(1, 10):
        assert taken(bucket, tenth / 10, 1) == [False]
    assert taken(bucket, 1.01, 1) == [True]


def test_full_or_not() -> None:
    bucket = TokenBucket(1, 3, 5.0)
    assert bucket.is_full(5.0)
    taken(bucket, 5.0, 2)
    assert not bucket.is_full(6.9)
    assert bucket.is_full(7.0)


@given(
    st.floats(0.5, 1000),
    st.integers(1, 500),
    st.floats(0, 10_000_000),
)
def test_a_whole_burst_is_given_whatever_the_clock_says(rate: float, burst: int, now: float) -> None:
    assert taken(TokenBucket(rate, burst, now), now, burst) == [True] * burst


@given(
    st.floats(0.5, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    bucket = TokenBucket(rate, burst, 0.0)
    now = count = 0.0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        if wait:
            now += wait + 1e-9
            assert bucket.take(now) == 0.0, "it has one when it said it would"
        count += 1
        assert count <= burst + now * rate + 0.01
