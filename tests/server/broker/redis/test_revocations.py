"""Revocations in Redis: what others write there, how much of it is taken, and how it ends."""

from __future__ import annotations

import pytest

from rtcli_server.auth.revocations import OVER_FOR_MS, Revocation, RevocationKind
from rtcli_server.broker import BrokerUnavailableError, ForeignContent, Place
from rtcli_server.broker.opening import now_ms
from rtcli_server.broker.redis import revocations
from tests.support.brokers.running import running
from tests.support.redis.server import RedisServer

pytestmark = pytest.mark.system

KEY = "rt:{revoked}:h"
HOUR_MS = 3_600_000


@pytest.fixture
def redis(redis_of_session: RedisServer) -> RedisServer:
    redis_of_session.command("FLUSHALL")
    return redis_of_session


def about(name: str, *, for_ms: int = HOUR_MS) -> Revocation:
    return Revocation(RevocationKind.TOKEN, name, now_ms() + for_ms)


async def test_it_expires_with_the_last_of_them(redis: RedisServer) -> None:
    async with running(redis.url) as log:
        for name, for_ms in (("a", 2 * HOUR_MS), ("b", HOUR_MS), ("a", HOUR_MS)):
            await log.broker.revoke(about(name, for_ms=for_ms))
            with redis.admin as admin:
                assert 2 * HOUR_MS - 60_000 < admin.pttl(KEY) <= 2 * HOUR_MS
        await log.broker.revoke(about("c", for_ms=-5_000))
        with redis.admin as admin:
            assert 2 * HOUR_MS - 60_000 < admin.pttl(KEY) <= 2 * HOUR_MS


async def test_one_that_is_over_already_leaves_nothing(redis: RedisServer) -> None:
    async with running(redis.url) as log:
        await log.broker.revoke(about("c", for_ms=-5_000))
        assert await log.broker.revocations() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token:a", "nothing"),
        ("token:a", ""),
        ("token:a", "1"),
        ("token:a", "1 2 3"),
        ("token:a", "-1 9"),
        ("token:a", "1.5 9e9"),
        ("token:a", "0 9999999999999999"),
        ("token:a", "0 999999999999999"),
        ("token:a", " 0 1"),
        ("token:", "0 4102444800000"),
        ("token:" + "x" * 257, "0 4102444800000"),
        ("token:a\nb", "0 4102444800000"),
        ("user:", "0 4102444800000"),
        ("user:\u202e", "0 4102444800000"),
        ("away:" + "x" * 129, "0 4102444800000"),
        ("everybody:7", "0 4102444800000"),
        ("7", "0 4102444800000"),
        ("", ""),
        (b"token:\xff\xfe", b"0 4102444800000"),
        (b"token:a", b"\xff"),
    ],
)
async def test_what_no_server_wrote_is_passed_over(
    redis: RedisServer, field: str | bytes, value: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped: list[Place] = []
    monkeypatch.setattr(ForeignContent, "skip", lambda _self, place, _channel, _error: skipped.append(place))
    async with running(redis.url) as log:
        ours = about("ours")
        await log.broker.revoke(ours)
        with redis.admin as admin:
            admin.hset(KEY, field, value)
            admin.hset(KEY, "until", "soon")
        assert await log.broker.revocations() == [ours]
        assert skipped == [Place.REVOCATION]
        await log.broker.revoke(about("a"))
        found = await log.broker.revocations()
        assert {one.subject for one in found} == {"ours", "a"}, "what we write replaces it"


async def test_a_key_of_another_type_is_replaced_and_until_then_nothing_can_be_read(
    redis: RedisServer,
) -> None:
    async with running(redis.url) as log:
        with redis.admin as admin:
            admin.lpush(KEY, "not a hash")
        with pytest.raises(BrokerUnavailableError, match="WRONGTYPE"):
            await log.broker.revocations()
        revocation = about("a")
        await log.broker.revoke(revocation)
        assert await log.broker.revocations() == [revocation]


async def test_no_more_is_read_than_may_be_listed(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_LISTED", 2_000)
    until = now_ms() + HOUR_MS
    with redis.admin as admin:
        admin.hset(KEY, mapping={f"token:{number}": f"0 {until}" for number in range(20_000)})
    async with running(redis.url) as log:
        assert 2_000 <= len(await log.broker.revocations()) < 2_000 + 2 * revocations.AT_ONCE


async def test_those_that_are_long_over_are_removed(redis: RedisServer) -> None:
    now = now_ms()
    with redis.admin as admin:
        over = {f"token:{number}": f"0 {now - OVER_FOR_MS - 60_000}" for number in range(3_000)}
        admin.hset(KEY, mapping={**over, "token:just over": f"0 {now - 1_000}"})
    async with running(redis.url) as log:
        kept = about("kept")
        await log.broker.revoke(kept)
        assert await log.broker.revocations() == [kept]
        with redis.admin as admin:
            assert set(admin.hkeys(KEY)) == {"token:kept", "token:just over", "until"}


async def test_one_that_is_extended_while_it_is_read_stays(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading that it was over and removing it, another instance revokes the same again."""
    over = {f"token:{number}": f"0 {now_ms() - OVER_FOR_MS - 60_000}" for number in range(10)}
    again = f"0 {now_ms() + HOUR_MS}"

    def extend_and_parse(field: bytes, value: bytes) -> Revocation:
        with redis.admin as admin:
            admin.hset(KEY, "token:7", again)
        return parse(field, value)

    parse = revocations._parse
    async with running(redis.url) as log:
        with redis.admin as admin:
            admin.hset(KEY, mapping=over)
        monkeypatch.setattr(revocations, "_parse", extend_and_parse)
        await log.broker.revocations()
        with redis.admin as admin:
            assert admin.hgetall(KEY) == {"token:7": again}
