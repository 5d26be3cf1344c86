"""Where a Redis log is, and the URL that says so.

One server, the primary that Sentinels name, or the nodes of a cluster; several servers are shards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from rtcli_server.broker.base import InvalidStoreError
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.cluster_link import ClusterLink
from rtcli_server.broker.redis.link import Link, NodeLink
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.timing.supervision import Supervisor

DEFAULT_PREFIX = "rt"
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}


class Target(Protocol):
    """What one log connects to."""

    async def connect(self) -> AbstractConnection:
        """Make a connection for listening. Raises RedisError or OSError."""
        ...

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    def open(
        self, timings: RedisTimings, scripts: Sequence[str], health: StoreHealth, supervisor: Supervisor
    ) -> Link:
        """Open a link for requests, which keeps its connections, and tells `health` of those that it loses.

        `scripts` are loaded on each connection. `supervisor` owns what runs for them.
        """
        ...


def connection_settings() -> dict[str, Any]:
    """The settings of every connection: deadlines and retries are the caller's."""
    return {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "driver_info": None,
        "decode_responses": False,
    }


class Server(Target):
    """One server, by its URL."""

    def __init__(self, url: str) -> None:
        self._arguments: dict[str, Any] = {**parse_url(url)}
        self._kind: type[AbstractConnection] = self._arguments.pop("connection_class", Connection)

    @property
    @override
    def name(self) -> str:
        return f"Redis at {self.address}"

    @property
    def address(self) -> str:
        """Its host and port, or the path of its socket."""
        arguments = self._arguments
        return str(
            arguments.get("path") or f"{arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"
        )

    @override
    async def connect(self) -> AbstractConnection:
        return await self.connect_to()

    async def connect_to(self, **address: object) -> AbstractConnection:
        """Connect with this URL's credentials and options to another `host` and `port`."""
        connection = self._kind(**{**self._arguments, **address}, **connection_settings())
        await connection.connect()  # type: ignore[no-untyped-call] # redis-py is typed in part
        return connection

    @override
    def open(
        self, timings: RedisTimings, scripts: Sequence[str], health: StoreHealth, supervisor: Supervisor
    ) -> Link:
        return NodeLink(self.connect, timings, scripts, health, supervisor=supervisor)


class Sentinels(Target):
    """The server that Sentinels name as the primary of a service, asked at each connection."""

    def __init__(self, addresses: Sequence[tuple[str, int]], service: str, url: str) -> None:
        self._addresses = addresses
        self._service = service
        self._server = Server(url)

    @property
    @override
    def name(self) -> str:
        return f"Redis, as Sentinels name it ({self._service})"

    @override
    async def connect(self) -> AbstractConnection:
        sentinel = Sentinel(  # type: ignore[no-untyped-call] # redis-py is typed in part
            self._addresses, sentinel_kwargs={**connection_settings(), "socket_timeout": 1.0}
        )
        try:
            host, port = await sentinel.discover_master(self._service)
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        return await self._server.connect_to(host=host, port=port)

    @override
    def open(
        self, timings: RedisTimings, scripts: Sequence[str], health: StoreHealth, supervisor: Supervisor
    ) -> Link:
        return NodeLink(self.connect, timings, scripts, health, supervisor=supervisor)


class Cluster(Target):
    """The nodes of a Redis Cluster; `urls` are those to begin with."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._seeds = [Server(url) for url in urls]
        self._link: ClusterLink | None = None

    @property
    @override
    def name(self) -> str:
        return f"Redis Cluster ({', '.join(seed.address for seed in self._seeds)})"

    @override
    async def connect(self) -> AbstractConnection:
        """Connect to any node: a message published on one reaches the subscribers of all."""
        known = self._link.nodes() if self._link else []
        errors: list[Exception] = []
        for node in (*known, *[seed.connect for seed in self._seeds]):
            try:
                return await node()
            except (RedisError, OSError) as error:
                errors.append(error)
        raise errors[0]

    @override
    def open(
        self, timings: RedisTimings, scripts: Sequence[str], health: StoreHealth, supervisor: Supervisor
    ) -> Link:
        self._link = ClusterLink(
            self.connect, self._connect_to, timings, scripts, health, supervisor=supervisor
        )
        return self._link

    async def _connect_to(self, host: str, port: int) -> AbstractConnection:
        return await self._seeds[0].connect_to(host=host, port=port)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """One target for each shard, and the prefix of all keys."""

    shards: Sequence[Target]
    prefix: str


def parse_redis_url(url: str) -> RedisUrl:
    """Read the URL of a store.

    `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS (with `ssl_ca_certs=` and the like),
    several hosts with commas: channels are spread over them; `redis+sentinel://host:26379,…/service[/db]`;
    `redis+cluster://host:port,…` with some nodes of a cluster.
    `?prefix=rt` begins the name of every key. Raises InvalidStoreError.
    """
    try:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        prefix = options.pop("prefix", DEFAULT_PREFIX)
        _check(parts.netloc, prefix, options)
        return RedisUrl(_targets(parts, urlencode(options)), prefix)
    except ValueError as error:
        raise InvalidStoreError(f"not a Redis log: {redacted(url)} ({error})") from error


def _targets(parts: SplitResult, query: str) -> list[Target]:
    credentials, at, netloc = parts.netloc.rpartition("@")
    hosts = netloc.split(",")
    path = parts.path
    scheme = parts.scheme if parts.scheme == "rediss" else "redis"
    if parts.scheme == "redis+sentinel":
        service, _, path = path.strip("/").partition("/")
        if not service:
            raise ValueError("it names no service")
        pairs = [host.partition(":") for host in hosts]
        addresses = [(name, int(port or "26379")) for name, _, port in pairs]
        return [
            Sentinels(addresses, service, urlunsplit((scheme, f"{credentials}{at}primary", path, query, "")))
        ]
    urls = [urlunsplit((scheme, credentials + at + host, path, query, "")) for host in hosts]
    if parts.scheme == "redis+cluster":
        return [Cluster(urls)]
    return [Server(url) for url in urls]


def _check(netloc: str, prefix: str, options: dict[str, str]) -> None:
    if not netloc.rpartition("@")[2]:
        raise ValueError("it names no host")
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", prefix):
        raise ValueError("prefix must be 1-64 of A-Z a-z 0-9 _ . : -")
    for name in options:
        if name not in _TLS_OPTIONS:
            raise ValueError(f"unknown option {name}")


def redacted(url: str) -> str:
    """The URL without its credentials, for messages."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
