from __future__ import annotations

import gc
import random
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.limits import (
    Cap,
    ConnectionCaps,
    SharedBuckets,
    TokenBucket,
    address_key,
    default_node_limit,
)


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10, 5)
    assert [bucket.take(100.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert bucket.retry_after_ms(100.0) == 100
    assert not bucket.take(100.09)
    assert bucket.take(100.101)
    assert not bucket.take(100.101)
    assert [bucket.take(200.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_fresh_bucket_is_full_at_any_time() -> None:
    for now in (0.0, -50.0, 1e9):
        bucket = TokenBucket(1, 3)
        assert bucket.retry_after_ms(now) == 0
        assert [bucket.take(now) for _ in range(4)] == [True, True, True, False]


def test_a_burst_of_nothing_is_one() -> None:
    bucket = TokenBucket(2, 0)
    assert bucket.take(0.0)
    assert not bucket.take(0.4)
    assert bucket.take(0.6)


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(0.0)
    for tenth in range(1, 10):
        assert not bucket.take(tenth / 10)
    assert bucket.take(1.01)


@given(
    st.floats(0.5, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate_allow(per_s: float, burst: int, gaps: list[float]) -> None:
    bucket = TokenBucket(per_s, burst)
    now = taken = 0.0
    for gap in gaps:
        now += gap
        expected_wait = bucket.retry_after_ms(now)
        if bucket.take(now):
            taken += 1
        else:
            assert expected_wait > 0
            assert bucket.retry_after_ms(now + expected_wait / 1000 + 1e-6) == 0
        assert taken <= burst + now * per_s + 1e-6


def test_connections_of_one_user_share_a_bucket() -> None:
    buckets = SharedBuckets(1, 2)
    first, second = buckets.of("ann"), buckets.of("ann")
    assert first is second
    assert buckets.of("bob") is not first
    assert [first.take(0.0), second.take(0.0), first.take(0.0)] == [True, True, False]


def test_a_bucket_that_nobody_holds_is_forgotten() -> None:
    buckets = SharedBuckets(1, 2)
    buckets.of("ann").take(0.0)
    gc.collect()
    assert not buckets._held


def caps(node: int | None = None, user: int | None = None, address: int | None = None) -> ConnectionCaps:
    return ConnectionCaps(node=node, user=user, address=address, rng=random.Random(1))


def test_no_limits() -> None:
    counted = caps()
    for _ in range(10_000):
        assert counted.admit("ann", "10.0.0.1") is None
        counted.enter("ann", "10.0.0.1")
    assert counted.count == 10_000


@pytest.mark.parametrize("cap", list(Cap))
def test_each_cap_refuses_the_one_too_many(cap: Cap) -> None:
    counted = caps(**{cap.value: 2})
    for _ in range(2):
        assert counted.admit("ann", "10.0.0.1") is None
        counted.enter("ann", "10.0.0.1")
    reached = counted.admit("ann", "10.0.0.1")
    assert reached is not None
    assert reached.cap is cap
    assert 1_000 <= reached.retry_after_ms <= 15_000
    other = counted.admit("bob", "10.0.0.2")
    assert (other is None) == (cap is not Cap.NODE)
    counted.leave("ann", "10.0.0.1")
    assert counted.admit("ann", "10.0.0.1") is None


def test_refusals_are_spread() -> None:
    counted = caps(node=0)
    waits = {reached.retry_after_ms for _ in range(50) if (reached := counted.admit("a", "")) is not None}
    assert len(waits) > 25


def test_an_unknown_address_has_no_cap() -> None:
    counted = caps(address=1)
    for _ in range(5):
        assert counted.admit("ann", "") is None
        counted.enter("ann", "")


def test_nothing_is_kept_of_those_who_left() -> None:
    counted = caps(node=10, user=10, address=10)
    for user, address in (("a", "10.0.0.1"), ("b", "2001:db8::1"), ("a", "")):
        counted.enter(user, address)
    for user, address in (("a", ""), ("a", "10.0.0.1"), ("b", "2001:db8::1")):
        counted.leave(user, address)
    assert (counted.count, counted._users, counted._addresses) == (0, {}, {})


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("/run/socket", "/run/socket"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_what_counts_as_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


def test_the_default_leaves_descriptors_free() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        assert default_node_limit() == 900
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
