from __future__ import annotations

import random
import resource

import pytest
from rtcli_server.auth.claims import Principal
from rtcli_server.limits.connection_caps import (
    SWEEP_AT,
    Cap,
    ConnectionCaps,
    UserRates,
    address_key,
    default_node_limit,
)
from rtcli_server.session.decisions import Reply
from rtcli_server.session.session import HeartbeatMode, Session, SessionSettings

from rtcli.protocol.codes import ErrorCode


def test_each_user_has_a_bucket() -> None:
    rates = UserRates(1, 2)
    assert [rates.take("ann", 0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0, abs=0.01)]
    assert rates.take("bob", 0.0) == 0.0
    assert rates.take("ann", 1.0) == 0.0


def test_full_buckets_are_forgotten_and_others_kept() -> None:
    rates = UserRates(1, 2)
    now = 0.0
    for number in range(20 * SWEEP_AT):
        now += 0.01
        assert rates.take(f"user-{number}", now) == 0.0
        if number % 50 == 0:
            rates.take("busy", now)
    assert len(rates._kept) <= 2 * SWEEP_AT
    rates.take("busy", now)
    assert rates.take("busy", now) > 0


def test_a_held_bucket_stays_the_users_own() -> None:
    rates = UserRates(1, 2)
    held = rates.of("ann", 0.0)
    for number in range(3 * SWEEP_AT):
        rates.take(f"user-{number}", 10.0 + number)
    assert "ann" not in rates._kept
    assert rates.of("ann", 1e6) is held
    del held
    assert "ann" not in rates._held


def test_all_connections_of_a_user_share_the_users_rate() -> None:
    rates = UserRates(1, 30)

    def session(sub: str) -> Session:
        return Session(
            connection_id="c",
            rights=Principal(sub, sub, 1e10),
            instance_id="i",
            heartbeat=HeartbeatMode.CLIENT,
            settings=SessionSettings(rate_limit_per_s=10.0, rate_burst=20.0),
            now=0.0,
            wall=0.0,
            user_bucket=rates.of(sub, 0.0),
        )

    def answers(talker: Session, count: int) -> list[ErrorCode | None]:
        decisions = [talker.receive('{"type":"ping"}', 0.0, 0.0)[0] for _ in range(count)]
        return [decision.code for decision in decisions if isinstance(decision, Reply)]

    limited = ErrorCode.RATE_LIMITED
    assert answers(session("ann"), 21) == [None] * 20 + [limited], "one connection has its own limit"
    assert answers(session("ann"), 12) == [None] * 10 + [limited] * 2, "and all together the user's"
    assert answers(session("bob"), 20) == [None] * 20


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
