"""Very many revocations, or one of very many connections: neither holds the loop nor fills memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from rtcli_server.broker.opening import now_ms
from tests.support.attacks.figures import MIB, Bounds
from tests.support.attacks.measure import SETTLE_S, Attack, Measure
from tests.support.attacks.target import KIB, Kind, StartTarget, Target, address
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, token
from tests.support.redis.server import RedisServer
from tests.support.servers.watch import until_metric
from tests.support.waiting import all_at_once

CONNECTIONS, CONNECTIONS_SOAK = 200, 1_000
REVOCATIONS, REVOCATIONS_SOAK = 1_500, 20_000
AT_ONCE = 20
GIVEN_BACK_S = 75.0  # the server gives memory of many connections back each minute
PATH = "/api/v1/revocations"
NO_CAPS = ("--user-connections", "off", "--address-connections", "off")
BYTES_OF_ONE = 2 * KIB  # with the longest name, and what allocators round it up to
# Of each connection. What those of the portable transport had is used by the next ones, and grows no further,
# but the machine does not get it back.
NOT_GIVEN_BACK = {Kind.PICOWS: 0, Kind.PORTABLE: 24 * KIB}


def peer(number: int, bearer: str) -> Peer:
    """A WebSocket or an event stream with this token."""
    if number % 2:
        return StreamPeer("7", ["room"], bearer=bearer)
    return WsPeer("7", ["room"], bearer=bearer)


async def connect_all(attack: Attack, count: int, bearer: Callable[[int], str]) -> list[Peer]:
    """Connect them, some at once, and wait until all are in."""
    peers: list[Peer] = []

    async def connect(number: int) -> None:
        joined = await attack.connect(peer(number, bearer(number)), source=address(number))
        peers.append(joined)
        await joined.ready

    for start in range(0, count, AT_ONCE):
        await all_at_once(connect(number) for number in range(start, min(start + AT_ONCE, count)))
    return peers


async def ask(target: Target, bearer: str, count: int, body: Callable[[int], object]) -> list[int]:
    """Ask for that many revocations, some at once; give the statuses."""
    headers = {"Authorization": f"Bearer {bearer}"}
    numbers = iter(range(count))
    statuses: list[int] = []

    async def one_after_the_other(http: httpx.AsyncClient) -> None:
        for number in numbers:
            answer = None
            while answer is None:
                with suppress(httpx.TransportError):  # of a connection that was idle for too long
                    answer = await http.post(PATH, json=body(number))
            statuses.append(answer.status_code)

    async with httpx.AsyncClient(base_url=target.url, headers=headers, timeout=60) as http:
        askers: list[Awaitable[None]] = [one_after_the_other(http) for _ in range(AT_ONCE)]
        await asyncio.gather(*askers)
    return statuses


def long_name(number: int) -> str:
    """The longest name that a token may have, and of the largest characters."""
    return f"{number:06}".ljust(256, "💥")


@pytest.mark.timeout(900)
async def test_a_flood_of_revocations(
    start_target: StartTarget, measure: Measure, kind: Kind, soak: bool
) -> None:
    """Others stay connected, and are served; one of those who are revoked is closed among all that."""
    count, connections = (REVOCATIONS_SOAK, CONNECTIONS_SOAK) if soak else (REVOCATIONS, CONNECTIONS)
    settle_s = GIVEN_BACK_S if soak else SETTLE_S
    target = await start_target(kind, *NO_CAPS)
    bounds = Bounds(
        peak_bytes_each=MIB + count * BYTES_OF_ONE / connections,
        after_bytes=16 * MIB + count * BYTES_OF_ONE + connections * NOT_GIVEN_BACK[kind],
    )
    name = f"{count} revocations"
    async with measure(
        target, name, connections=connections, bounds=bounds, address_cap=None, settle_s=settle_s
    ) as attack:
        peers = await connect_all(
            attack,
            connections,
            lambda number: token("7", token_id="stolen" if number == 3 else f"own-{number}"),
        )
        statuses = await ask(
            target,
            token("root", scope="admin"),
            count,
            lambda number: {"jti": "stolen" if number == 7 else long_name(number)},
        )
        assert set(statuses) == {201}
        await asyncio.wait_for(asyncio.shield(peers[3].lost), 10)
        assert sum(peer.lost.done() for peer in peers) == 1


@pytest.mark.timeout(900)
async def test_one_token_with_which_everybody_came(
    start_target: StartTarget, measure: Measure, kind: Kind, soak: bool
) -> None:
    connections, settle_s = (CONNECTIONS_SOAK, GIVEN_BACK_S) if soak else (CONNECTIONS, SETTLE_S)
    target = await start_target(kind, *NO_CAPS)
    name, bounds = "a token of all", Bounds(after_bytes=16 * MIB + connections * NOT_GIVEN_BACK[kind])
    async with measure(
        target, name, connections=connections, bounds=bounds, address_cap=None, settle_s=settle_s
    ) as attack:
        bearer = token("7", token_id="all")
        peers = await connect_all(attack, connections, lambda _number: bearer)
        assert await ask(target, token("root", scope="admin"), 1, lambda _: {"jti": "all"}) == [201]
        await asyncio.wait_for(asyncio.gather(*(peer.lost for peer in peers)), 60)
        await until_metric(target, "rtcli_connections", 0)
        assert {peer.close_code for peer in peers if isinstance(peer, WsPeer)} == {4500}


async def test_those_who_may_not_revoke_change_nothing(start_target: StartTarget, measure: Measure) -> None:
    target = await start_target(Kind.PICOWS, "--rate-limit", "off")
    async with measure(target, "revocations without the right", connections=50):
        bearer = token("8", scope="publish")
        statuses = await ask(target, bearer, 1_000, lambda number: {"jti": long_name(number)})
        assert set(statuses) == {403}
        assert set(await ask(target, "a.b.c", 500, lambda _: {"user": "7"})) == {401}


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_a_store_that_is_full_of_them(
    start_target: StartTarget, measure: Measure, redis_of_session: RedisServer
) -> None:
    """As many as a server lists appear in Redis at once, and are read while it serves."""
    count = 59_000
    redis_of_session.command("FLUSHALL")
    target = await start_target(store=redis_of_session.url, instance_lease_s=1)
    bounds = Bounds(peak_bytes_each=60 * MIB / 50, after_bytes=60 * MIB)
    async with measure(target, f"{count} revocations in Redis", connections=50, bounds=bounds):
        until_ms = now_ms() + 3_600_000
        with redis_of_session.admin as redis:
            for start in range(0, count, 1_000):
                names = range(start, start + 1_000)
                redis.hset(
                    "rt:{revoked}:h", mapping={f"token:listed-{name}": f"0 {until_ms}" for name in names}
                )
            redis.delete("rt:{instances}:z")
            for client in redis.client_list():
                if client["id"] != redis.client_id():
                    redis.client_kill_filter(_id=client["id"])
        async with httpx.AsyncClient(base_url=target.url, timeout=60) as http:
            for number in range(0, count, 5_900):
                headers = {"Authorization": f"Bearer {token('7', token_id=f'listed-{number}')}"}

                async def is_refused(headers: dict[str, str] = headers) -> bool:
                    return (await http.head("/api/v1/events/stream", headers=headers)).status_code == 401

                async with asyncio.timeout(60):
                    while not await is_refused():  # noqa: ASYNC110 - it has to be asked
                        await asyncio.sleep(0.1)
