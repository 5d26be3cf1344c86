"""The rate of each user: one bucket for all connections, kept as long as it matters."""

from __future__ import annotations

import pytest

from rtcli.protocol.codes import ErrorCode
from rtcli_server.auth.claims import Principal
from rtcli_server.limits.user_rates import SWEEP_AT, UserRates
from rtcli_server.session.decisions import Reply
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode, SessionSettings


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
