"""Revocations on several instances, over a real Redis: told, kept, read again, put back."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from rtcli_server.auth.revocations import OVER_FOR_MS, Revocation, RevocationKind, RevokedTokens
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.opening import now_ms
from rtcli_server.cluster.control import CHANNEL, Revoke, decode_command
from rtcli_server.cluster.revocations import AT_ONCE, Revocations, TooManyRevocationsError
from rtcli_server.connections.hub import Hub
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.metrics.registry import Metrics
from rtcli_server.realtime.commands import Commands
from rtcli_server.timing.clock import Clock
from tests.support.brokers.running import Running, running
from tests.support.clients.raw_sse import EventStream
from tests.support.clients.rooms import open_ws
from tests.support.redis.proxy import RedisProxy
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server, token
from tests.support.servers.two_instances import Pair, http, prefix_of, two_instances, wait_ready
from tests.support.waiting import until, wait_until

pytestmark = pytest.mark.system

HOUR_MS = 3_600_000
PATH = "/api/v1/revocations"


def statuses(pair: Pair, bearer: str) -> list[int]:
    """What each instance says to this token."""
    headers = {"Authorization": f"Bearer {bearer}"}
    return [
        httpx.head(f"{server.url}/api/v1/events/stream", headers=headers, trust_env=False).status_code
        for server in pair
    ]


def revoke(server: LiveServer, **body: str) -> int:
    return http(server, "POST", PATH, "root", scope="admin", json=body).status_code


# -- two instances -----------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_on_both_instances_and_what_it_opened_ends(pair: Pair) -> None:
    first, second = pair
    bearer = token("40", token_id="stolen")
    assert statuses(pair, bearer) == [200, 200]
    with (
        open_ws(second, "40") as stays,
        EventStream(first.port, bearer=bearer) as here,
        EventStream(second.port, bearer=bearer) as there,
    ):
        for stream in (here, there):
            stream.until("ready")
        assert revoke(first, jti="stolen") == 201
        assert statuses(pair, bearer)[0] == 401, "where it was asked for: at once"
        wait_until(lambda: statuses(pair, bearer) == [401, 401])
        assert (here.event(), there.event()) == (None, None)
        stays.send("ping")
        assert stays.until("pong")


def test_it_is_known_within_a_second(pair: Pair, soak: bool) -> None:
    """Measured from the answer to the last of the two that ends; the bound is the protocol's (section 2)."""
    first, second = pair
    slowest = 0.0
    for turn in range(30 if soak else 3):
        bearer = token("41", token_id=f"soon-{turn}")
        with EventStream(first.port, bearer=bearer) as here, EventStream(second.port, bearer=bearer) as there:
            for stream in (here, there):
                stream.until("ready")
            began = time.monotonic()
            assert revoke(first, jti=f"soon-{turn}") == 201
            assert (here.event(), there.event()) == (None, None)
            slowest = max(slowest, time.monotonic() - began)
            assert statuses(pair, bearer) == [401, 401]
    print(f"known after at most {slowest:.2f} s")  # noqa: T201 - for docs/reliability.md


def test_a_kick_keeps_away_from_both(pair: Pair) -> None:
    first, second = pair
    with open_ws(first, "42") as here, open_ws(second, "42") as there:
        answer = http(first, "DELETE", "/api/v1/users/42/connections?stay_away_s=600", "root", scope="admin")
        assert answer.json() == {"closed": 2}
        for ws in (here, there):
            frame = ws.close_frame()
            assert frame is not None
            assert (frame.code, frame.reason) == (4500, "kicked")
    wait_until(lambda: statuses(pair, token("42")) == [403, 403])


def test_an_instance_that_starts_later_reads_what_is_revoked(
    pair: Pair, redis_of_session: RedisServer
) -> None:
    first, _ = pair
    bearer = token("43", token_id="before the third")
    assert revoke(first, jti="before the third") == 201
    with live_server(store=f"{redis_of_session.url}?prefix={prefix_of(first)}") as third:
        assert statuses((third, third), bearer)[0] == 401
        assert statuses((third, third), token("43"))[0] == 200


def test_what_the_store_forgot_is_put_back(pair: Pair, redis_of_session: RedisServer) -> None:
    first, second = pair
    assert revoke(first, jti="forgotten") == 201
    key = f"{prefix_of(first)}:{{revoked}}:h"
    with redis_of_session.admin as redis:
        assert redis.delete(*redis.keys(f"{prefix_of(first)}:*")) > 0
        wait_until(lambda: redis.hexists(key, "token:forgotten"), timeout_s=30)
        assert redis.pttl(key) > 0
    wait_ready(second)


def test_an_instance_whose_subscriptions_were_cut_knows_it_when_it_is_back(own_redis: RedisServer) -> None:
    """Whoever was cut off gets the commands that it missed."""
    with two_instances(own_redis) as pair:
        first, second = pair
        bearer = token("44", token_id="meanwhile")
        with own_redis.admin as redis, EventStream(second.port, bearer=bearer) as stream:
            stream.until("ready")
            for info in redis.client_list(_type="pubsub"):
                redis.client_kill_filter(_id=info["id"])
            assert revoke(first, jti="meanwhile") == 201
            assert stream.event() is None
            wait_until(lambda: statuses(pair, bearer) == [401, 401])


def test_what_the_log_has_no_command_of_any_more_is_read_from_the_list(
    redis_of_session: RedisServer,
) -> None:
    """Of more commands than the log keeps, whoever was cut off gets the last ones, and a gap before them."""
    prefix, bearer = "gap", token("47", token_id="long gone")
    # Its heartbeats are rare: with each of the first ones, the list is read, too.
    with (
        live_server(store=f"{redis_of_session.url}?prefix={prefix}", instance_lease_s=600.0) as server,
        redis_of_session.admin as redis,
    ):
        wait_ready(server)
        assert revoke(server, jti="before the gap") == 201
        redis.hset(f"{prefix}:{{revoked}}:h", "token:long gone", f"0 {now_ms() + HOUR_MS}")
        redis.hincrby(f"{prefix}:{{control}}:m", "top", 5)
        assert statuses((server, server), bearer)[0] == 200
        assert revoke(server, jti="after the gap") == 201
        wait_until(lambda: statuses((server, server), bearer)[0] == 401)


def test_what_was_revoked_while_redis_was_away_is_told_when_it_is_back(own_redis: RedisServer) -> None:
    with two_instances(own_redis) as pair:
        first, _ = pair
        bearer = token("45", token_id="away")
        own_redis.send(signal.SIGSTOP)
        assert revoke(first, jti="away") == 503, "not everywhere: repeat it"
        assert statuses(pair, bearer) == [401, 200]
        own_redis.send(signal.SIGCONT)
        wait_until(lambda: statuses(pair, bearer) == [401, 401], timeout_s=30)
    with live_server(store=f"{own_redis.url}?prefix={prefix_of(first)}") as third:
        assert statuses((third, third), bearer)[0] == 401


def test_a_server_that_starts_without_its_redis_lets_nobody_in_until_it_has_read(
    own_redis: RedisServer,
) -> None:
    with live_server(store=own_redis.url) as server:
        assert revoke(server, jti="early") == 201
    own_redis.send(signal.SIGSTOP)
    with live_server(store=own_redis.url) as server:
        for bearer in (token("46"), token("46", token_id="early")):
            with EventStream(server.port, bearer=bearer) as stream:
                assert stream.json("closing")["code"] == 1013
        own_redis.send(signal.SIGCONT)
        wait_until(lambda: statuses((server, server), token("46", token_id="early"))[0] == 401)
        wait_ready(server)
        with EventStream(server.port, bearer=token("46")) as stream:
            stream.until("ready")


# -- one instance, as the log sees it ----------------------------------------------------------------------


@dataclass
class Instance:
    """The revocations of one instance, on a log."""

    log: Running
    enforced: list[Revocation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.revoked = RevokedTokens(now_ms, known=False)
        self.revocations = Revocations(
            self.log.broker, self.revoked, enforce=self.enforced.append, wall_ms=now_ms
        )


@asynccontextmanager
async def instance(url: str) -> AsyncIterator[Instance]:
    async with running(url) as log:
        log.broker.subscribe(CHANNEL)
        yield Instance(log)


def about(name: str) -> Revocation:
    return Revocation(RevocationKind.TOKEN, name, now_ms() + HOUR_MS)


async def test_it_is_carried_out_once_however_often_it_is_told() -> None:
    async with instance("memory:") as one:
        revocation = about("a")
        for _ in range(3):
            await one.revocations.revoke(revocation)
            one.revocations.apply(revocation)
        await one.revocations.read()
        assert one.enforced == [revocation]
        assert one.revoked.known


async def test_a_full_list_takes_no_more_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcli_server.auth.revocations.MAX_REVOCATIONS", 2)
    async with instance("memory:") as one:
        first = about("0")
        for revocation in (first, about("1"), first):
            await one.revocations.revoke(revocation)
        with pytest.raises(TooManyRevocationsError):
            await one.revocations.revoke(about("2"))
        assert len(one.revoked) == len(await one.log.broker.revocations()) == 2


async def test_what_does_not_fit_from_others_is_said_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rtcli_server.auth.revocations.MAX_LISTED", 2)
    async with instance("memory:") as one:
        for name in "abcd":
            one.revocations.apply(about(name))
        assert len(one.revoked) == len(one.enforced) == 2
        (said,) = caplog.messages  # not a line for each of them
        assert "are not kept" in said


async def test_one_that_could_not_be_kept_is_told_with_the_next_about_the_same() -> None:
    async with instance("memory:") as one:
        keep = one.log.broker.revoke

        async def refuse(revocation: Revocation) -> None:
            raise BrokerUnavailableError(f"away: {revocation}")

        before_ms = now_ms()
        strict = Revocation(RevocationKind.USER, "7", before_ms + HOUR_MS, before_ms)
        mild = Revocation(RevocationKind.USER, "7", before_ms + 2 * HOUR_MS, before_ms - HOUR_MS)
        one.log.broker.revoke = refuse  # type: ignore[method-assign]
        with pytest.raises(BrokerUnavailableError):
            await one.revocations.revoke(strict)
        one.log.broker.revoke = keep  # type: ignore[method-assign]
        await one.revocations.revoke(mild)
        assert await one.log.broker.revocations() == list(one.revoked) == [strict.merged(mild)]


async def test_what_is_over_before_the_store_is_back_is_forgotten() -> None:
    """Short kicks, again and again, while the store is away: they take no memory, and nobody is told."""
    async with instance("memory:") as one:
        keep = one.log.broker.revoke

        async def refuse(revocation: Revocation) -> None:
            raise BrokerUnavailableError(f"away: {revocation}")

        one.log.broker.revoke = refuse  # type: ignore[method-assign]
        for number in range(5_000):
            over_at_ms = now_ms() - OVER_FOR_MS - 1
            with pytest.raises(BrokerUnavailableError):
                await one.revocations.revoke(Revocation(RevocationKind.AWAY, f"u{number}", over_at_ms))
        assert len(one.revocations._untold) < 2_000
        told: list[Revocation] = []

        async def note(revocation: Revocation) -> None:
            told.append(revocation)
            await keep(revocation)

        one.log.broker.revoke = note  # type: ignore[method-assign]
        await one.revocations.read()
        assert told == []


async def test_who_has_to_stay_away_is_kept_also_when_the_others_could_not_be_told() -> None:
    """They learn it from the store, or when it is told again."""

    class CutOff:
        async def kick(self, user_id: str) -> int:
            raise BrokerUnavailableError(f"nobody can be told of {user_id}")

    deployment: Any = CutOff()
    caps = ConnectionCaps(node=10, user=None, address=None, rng=random.Random(1))
    async with instance("memory:") as one:
        hub = Hub(caps, Metrics(lambda: 0.0, tick_s=0.1))
        audience: Any = None
        commands = Commands(
            hub=hub,
            audience=audience,
            revoked=one.revoked,
            revocations=one.revocations,
            deployment=deployment,
            clock=Clock(time.monotonic),
        )
        with pytest.raises(BrokerUnavailableError):
            await commands.kick("7", 600.0)
        assert [it.subject for it in await one.log.broker.revocations()] == ["7"]


async def test_very_many_are_read_and_put_back_in_pieces() -> None:
    """So that neither holds the loop: nobody else would be delivered to meanwhile."""
    many = 20 * AT_ONCE
    async with instance("memory:") as one:
        for number in range(0, many, 2):
            one.revoked.add(about(f"here {number}"))
            await one.log.broker.revoke(about(f"there {number}"))
        turns, reading = 0, asyncio.ensure_future(one.revocations.read())
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        await reading
        assert len(one.revoked) == len(await one.log.broker.revocations()) == many
        assert turns >= many // 2 // AT_ONCE + many // AT_ONCE


async def test_the_store_has_it_before_anybody_is_told(redis_of_session: RedisServer) -> None:
    """So whoever reads the store after it gets commands misses none."""
    redis_of_session.command("FLUSHALL")
    async with instance(redis_of_session.url) as one, instance(redis_of_session.url) as other:
        await other.revocations.read()
        order: list[str] = []
        keep, publish = one.log.broker.revoke, one.log.broker.publish

        async def revoke(revocation: Revocation) -> None:
            await keep(revocation)
            order.append("kept")

        def tell(*args: object, **more: object) -> asyncio.Future[object]:
            order.append("told")
            return publish(*args, **more)  # type: ignore[arg-type,return-value]

        one.log.broker.revoke = revoke  # type: ignore[method-assign]
        one.log.broker.publish = tell  # type: ignore[method-assign,assignment]
        revocation = about("a")
        await one.revocations.revoke(revocation)
        assert order == ["kept", "told"]
        await other.log.wait_delivered(1)
        (command,) = other.log.delivered
        assert decode_command(command.data) == Revoke(revocation)


async def test_while_the_store_is_away_it_holds_here_and_is_told_later(redis_of_session: RedisServer) -> None:
    redis_of_session.command("FLUSHALL")
    async with (
        RedisProxy.to(redis_of_session.admin.connection_pool.connection_kwargs["port"]) as proxy,
        instance(redis_of_session.url) as other,
        instance(proxy.url) as one,
    ):
        await one.revocations.read()
        proxy.part()
        with pytest.raises(BrokerUnavailableError):
            await one.revocations.revoke(about("a"))
        assert [it.subject for it in one.revoked] == ["a"]
        proxy.join()
        await one.log.wait_ready()
        await one.revocations.reannounce()
        await until(lambda: len(other.log.delivered) >= 1, "the other was not told")
        assert [it.subject for it in await other.log.broker.revocations()] == ["a"]
        before = len(other.log.delivered)
        await one.revocations.reannounce()
        await asyncio.sleep(0.1)
        assert len(other.log.delivered) == before, "it is told once"
