"""A deployment: two servers on one Redis, each of them a real process, and what must hold around every fault.

The servers listen on loopback addresses of their own, as two machines would: so nothing that connects from
127.0.0.1 can take the port of one that was killed and is to come back. They know Redis as a user that may do
no more than the documentation says, with a password that must not be told in any log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import httpx

from rtcli_server.broker.redis.wire import REQUIRED_ACL
from tests.support.checker import Verdict
from tests.support.faults.fleet_crowd import FULL, SMALL, FleetCrowd
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import LOOPBACK, ServerProcess
from tests.support.servers.watch import (
    HealthWatch,
    descriptors,
    log_is_clean,
    serves_a_good_client,
    until_metric,
)
from tests.support.waiting import until

PASSWORD = "hunter2-of-the-fault-tests"
USER = ("--user", "rt", "on", f">{PASSWORD}", *REQUIRED_ACL.split())
HOSTS = ("127.0.0.11", "127.0.0.12")
# What one misses while it changes its connection, or while it is cut off, is still there and not too much.
OPTIONS = ("--user-connections", "off", "--address-connections", "off", "--history-size", "20000")
READY_WITHIN_S = 60.0
CLIENTS_GONE_WITHIN_S = 60.0
log = logging.getLogger(__name__)


def store(port: int, host: str = LOOPBACK) -> str:
    """The URL of the log in the Redis on `port`."""
    return f"redis://rt:{PASSWORD}@{host}:{port}"


@contextlib.contextmanager
def own_redis(home: Path, *options: str, aof: bool = False) -> Iterator[RedisServer]:
    """Run a Redis that knows the servers' user."""
    redis = RedisServer(home, aof=aof, options=(*USER, *options))
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()


class Fleet:
    """Two servers, their Redis, and a crowd on both."""

    def __init__(self, servers: Sequence[ServerProcess], redis: RedisServer, crowd: FleetCrowd) -> None:
        self.servers = servers
        self.redis = redis
        self.crowd = crowd

    def redis_clients(self) -> int:
        """How many connections the servers have to Redis."""
        with self.redis.admin as admin:
            return sum(client["user"] == "rt" for client in admin.client_list())

    async def until_ready(self, *servers: ServerProcess, ready: bool = True) -> None:
        """Wait until `/readyz` of these (of all) says so."""
        async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient(timeout=30) as http:
            for server in servers or self.servers:
                while (await http.get(f"{server.url}/readyz")).is_success is not ready:  # noqa: ASYNC110 - it is asked
                    await asyncio.sleep(0.05)

    async def restart(self, server: ServerProcess, how: signal.Signals) -> None:
        """End a server, and start it again."""
        server.signal(how)
        code = await asyncio.to_thread(server.wait)
        assert code == (-how if how is signal.SIGKILL else 0)
        await server.start()

    @contextlib.asynccontextmanager
    async def watched(self, *, health: bool = True) -> AsyncIterator[None]:
        """Everything that must hold while the block does its worst, and when it is over and the crowd gone.

        `health`: all servers answer throughout.
        """
        before = [await self._at_rest(server) for server in self.servers]
        clients = self.redis_clients()
        watches = [
            HealthWatch(server.port, task=server.pid, host=server.host) for server in self.servers if health
        ]
        for watch in watches:
            watch.start()
        try:
            yield
        finally:
            await asyncio.gather(*[watch.stop() for watch in watches])
        await self.crowd.close()
        for server, count in zip(self.servers, before, strict=True):
            await self._at_rest(server)
            await until(lambda: descriptors(server.pid) <= count + 1, why="descriptors are left")  # noqa: B023 - at once
            log_is_clean(server, PASSWORD)
        await until(
            lambda: self.redis_clients() <= clients,
            timeout_s=CLIENTS_GONE_WITHIN_S,
            why="connections to Redis are left",
        )

    @staticmethod
    async def _at_rest(server: ServerProcess) -> int:
        """Wait until nobody is connected any more; return how many descriptors it has then."""
        await serves_a_good_client(server)
        await until_metric(server, "rtcli_connections", 0, timeout_s=60)
        return descriptors(server.pid)

    async def finish(self, what: str, *, forgetful: bool = False) -> Verdict:
        """Let the crowd come to rest; fails for a broken promise."""
        verdict = await self.crowd.rest(forgetful=forgetful)
        refusals = f"{self.crowd.refusals} refusals, the slowest after {self.crowd.slowest_refusal_s:.2f} s"
        reasons = Counter(reason for tail in self.crowd.tails for reason in tail.reasons)
        log.info("%s: %s; %s; gaps: %s", what, verdict.summary(), refusals, dict(reasons))
        assert verdict.violations == []
        return verdict


def instance(home: Path, host: str, url: str, *options: str, prefix: Sequence[str] = ()) -> ServerProcess:
    """A server that is to listen on `host`, on the log at `url`; `prefix` stands before its command."""
    directory = home / host
    directory.mkdir()
    return ServerProcess(directory, url, *OPTIONS, *options, host=host, prefix=tuple(prefix))


def pair(home: Path, *ports: int) -> list[ServerProcess]:
    """Two servers, each on the Redis, or what stands before it, on its one of `ports`."""
    return [instance(home, host, store(port)) for host, port in zip(HOSTS, ports, strict=True)]


@contextlib.asynccontextmanager
async def fleet(servers: Sequence[ServerProcess], redis: RedisServer, *, soak: bool) -> AsyncIterator[Fleet]:
    """Run the servers; nobody is connected yet."""
    crowd = FleetCrowd(servers, random.Random(7), FULL if soak else SMALL)
    try:
        await asyncio.gather(*[server.start() for server in servers])
        yield Fleet(servers, redis, crowd)
    finally:
        await crowd.close()
        for server in servers:
            server.kill()


@contextlib.asynccontextmanager
async def two_on_redis(
    home: Path, *, soak: bool, aof: bool = False, health: bool = True
) -> AsyncIterator[Fleet]:
    """Run a Redis and two servers on it, and watch them (`Fleet.watched`)."""
    with own_redis(home, aof=aof) as redis:
        servers = pair(home, redis.port, redis.port)
        async with fleet(servers, redis, soak=soak) as two, two.watched(health=health):
            yield two


STUCK_S = 15.0  # a bound on being stuck, not a measurement: a publish is refused after two seconds


def nobody_noticed(fleet: Fleet) -> None:
    """No connection was lost, and no answer was long in coming."""
    assert fleet.crowd.steady_losses == []
    assert fleet.crowd.slowest_refusal_s < STUCK_S
