"""Requests to a Redis Cluster: a link to each primary, and the map of the slots that each one has.

A node answers MOVED when a slot is not its own (https://redis.io/docs/reference/cluster-spec/, "MOVED
Redirection"). Then nothing was done: the request is refused as unavailable, and the map is read again. It is
not sent to the other node, where it could overtake, or be overtaken by, others of its channel. The map is
also read again while a node does not answer, so that a failover is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, TryAgainError
from typing_extensions import override

from rtcli_server.broker.base import BrokerUnavailableError
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.causes import cause_of
from rtcli_server.broker.redis.link import MAX_OUTSTANDING, PROBE_TAG, Link, NodeLink, pack
from rtcli_server.broker.redis.reconnecting import Connect
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.timing.supervision import Supervised, Supervisor
from rtcli_server.timing.tasks import BackgroundTasks

T = TypeVar("T")
Address = tuple[str, int]
ConnectTo = Callable[[str, int], Awaitable[AbstractConnection]]
CHECK_S = 0.5  # how often the connections to all nodes are checked
MAP = Supervised("the map of the Redis Cluster")
_REDIRECTIONS = (MovedError, AskError, TryAgainError, ClusterDownError)


class ClusterLink(Link):
    """Sends each request to the node that has the slot of its key. `connect` reaches any node."""

    def __init__(
        self,
        connect: Connect,
        connect_to: ConnectTo,
        timings: RedisTimings,
        scripts: Sequence[str],
        health: StoreHealth,
        *,
        supervisor: Supervisor,
    ) -> None:
        self._connect = connect
        self._connect_to = connect_to
        self._timings = timings
        self._health = health
        self._scripts = scripts
        self._supervisor = supervisor
        self._waiting = 0  # requests, for the first map
        self._probe_tags: dict[str, str] = {}
        self._links: dict[Address, NodeLink] = {}
        self._slots: list[NodeLink | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._mapped = asyncio.Event()
        self._outdated = asyncio.Event()
        self._outdated.set()
        self._retiring = BackgroundTasks()
        self._connects_before = 0  # of the links that were retired
        self._closing = False
        self._task = supervisor.start(MAP, self._keep_map)

    @property
    @override
    def connected(self) -> bool:
        """Whether every primary is connected."""
        return self._mapped.is_set() and all(link.connected for link in self._links.values())

    @property
    @override
    def connects(self) -> int:
        """Number of connections made so far, those of links that are gone included."""
        return self._connects_before + sum(link.connects for link in self._links.values())

    @override
    def probe_tags(self) -> Mapping[str, str]:
        return self._probe_tags

    def nodes(self) -> list[Connect]:
        """Functions that connect to the primaries that are connected now."""
        return [
            partial(self._connect_to, *address) for address, link in self._links.items() if link.connected
        ]

    @override
    def request(self, packed: bytes, parse: Callable[[Any], T], key: bytes) -> asyncio.Future[T]:
        link = self._slots[key_slot(key)]
        if link is not None and not self._closing:
            future = link.request(packed, parse, key)
            future.add_done_callback(self._check_outcome)
            return future
        waiting = asyncio.ensure_future(self._when_mapped(packed, parse, key))
        waiting.add_done_callback(_look_at)
        return waiting

    async def _when_mapped(self, packed: bytes, parse: Callable[[Any], T], key: bytes) -> T:
        """Wait for the first map, then send."""
        if self._closing:
            raise BrokerUnavailableError("the log is closed")
        if self._waiting >= MAX_OUTSTANDING:
            raise BrokerUnavailableError("the log cannot keep up")
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timings.request_s):
                    await self._mapped.wait()
        finally:
            self._waiting -= 1
        link = self._slots[key_slot(key)]
        if link is None:
            raise BrokerUnavailableError("Redis is away: nothing was published")
        return await link.request(packed, parse, key)

    def _check_outcome(self, future: asyncio.Future[Any]) -> None:
        error = _look_at(future)
        if error is not None and isinstance(error.__cause__, _REDIRECTIONS):
            self._outdated.set()

    async def _keep_map(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._outdated.wait()
            if self.connected and self._probe_tags and not self._outdated.is_set():
                continue
            self._outdated.clear()
            try:
                async with asyncio.timeout(self._timings.connect_s):
                    self._use(await self._read_map())
            except (RedisError, OSError, TimeoutError, ValueError, TypeError) as error:
                name, text = cause_of(error)
                self._health.failed(name, f"cannot read the map of the cluster: {text}")
            await asyncio.sleep(self._timings.first_retry_s)

    async def _read_map(self) -> list[tuple[int, int, Address]]:
        connection = await self._connect()
        try:
            await connection.send_packed_command([pack([b"CLUSTER", b"SLOTS"])])
            answer = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        return [(first, last, (primary[0].decode(), primary[1])) for first, last, primary, *_ in answer]

    def _use(self, ranges: list[tuple[int, int, Address]]) -> None:
        addresses = {address for _, _, address in ranges}
        for address in addresses - self._links.keys():
            connect = partial(self._connect_to, *address)
            self._links[address] = NodeLink(
                connect, self._timings, self._scripts, self._health, supervisor=self._supervisor
            )
        for address in self._links.keys() - addresses:
            retired = self._links.pop(address)
            self._connects_before += retired.connects
            self._retiring.spawn(retired.close())
        self._slots = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, address in ranges:
            self._slots[first : last + 1] = [self._links[address]] * (last + 1 - first)
        if None in self._slots:
            self._probe_tags = {}
            self._health.failed("slots", "some slots of the cluster have no node")
        else:
            self._probe_tags = {self._tag_of(self._links[address]): _name(address) for address in addresses}
        if ranges:
            self._mapped.set()

    def _tag_of(self, link: NodeLink) -> str:
        """Find a tag whose keys this node has: tags are spread evenly over the slots, and it has some."""
        tags = (f"{PROBE_TAG}:{number}" for number in count())
        return next(tag for tag in tags if self._slots[key_slot(tag.encode())] is link)

    @override
    async def close(self) -> None:
        self._closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*[link.close() for link in self._links.values()], self._retiring.wait())


def _name(address: Address) -> str:
    host, port = address
    return f"{host}:{port}"


def _look_at(future: asyncio.Future[Any]) -> BaseException | None:
    """The exception of a request, which counts as looked at from now on: see `refuse`."""
    return None if future.cancelled() else future.exception()
