from __future__ import annotations

import random
import resource

import pytest

from rtcli_server.limits.connection_caps import Cap, ConnectionCaps, address_key, default_node_limit


def caps(node: int | None = None, user: int | None = None, address: int | None = None) -> ConnectionCaps:
    return ConnectionCaps(node=node, user=user, address=address, rng=random.Random(1))


def test_no_limits() -> None:
    counted = caps()
    for _ in range(10_000):
        assert counted.check("ann", "10.0.0.1") is None
        counted.add("ann", "10.0.0.1")
    assert counted.count == 10_000


@pytest.mark.parametrize("cap", list(Cap))
def test_each_cap_refuses_the_one_too_many(cap: Cap) -> None:
    counted = caps(**{cap.value: 2})
    for _ in range(2):
        assert counted.check("ann", "10.0.0.1") is None
        counted.add("ann", "10.0.0.1")
    reached = counted.check("ann", "10.0.0.1")
    assert reached is not None
    assert reached.cap is cap
    assert 1_000 <= reached.retry_after_ms <= 15_000
    other = counted.check("bob", "10.0.0.2")
    assert (other is None) == (cap is not Cap.NODE)
    counted.remove("ann", "10.0.0.1")
    assert counted.check("ann", "10.0.0.1") is None


def test_refusals_are_spread() -> None:
    counted = caps(node=0)
    waits = {reached.retry_after_ms for _ in range(50) if (reached := counted.check("a", "")) is not None}
    assert len(waits) > 25


def test_an_unknown_address_has_no_cap() -> None:
    counted = caps(address=1)
    for _ in range(5):
        assert counted.check("ann", "") is None
        counted.add("ann", "")


def test_nothing_is_kept_of_those_who_left() -> None:
    counted = caps(node=10, user=10, address=10)
    for user, address in (("a", "10.0.0.1"), ("b", "2001:db8::1"), ("a", "")):
        counted.add(user, address)
    for user, address in (("a", ""), ("a", "10.0.0.1"), ("b", "2001:db8::1")):
        counted.remove(user, address)
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
