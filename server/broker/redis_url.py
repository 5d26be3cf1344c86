"""What the URL of a Redis log says, and how to connect accordingly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from server.broker.base import InvalidStoreError
from server.broker.redis_link import Connect

DEFAULT_PREFIX = "rt"
_SENTINEL = "redis+sentinel"
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """One `Connect` for each shard, and the prefix of all keys."""

    shards: Sequence[Connect]
    prefix: str


def parse_redis_url(url: str) -> RedisUrl:
    """Read the URL of a store.

    `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS (with `ssl_ca_certs=` and the like),
    several hosts with commas: channels are spread over them; `redis+sentinel://host:26379,…/service[/db]`.
    `?prefix=rt` begins the name of every key. Raises InvalidStoreError.
    """
    try:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        prefix = options.pop("prefix", DEFAULT_PREFIX)
        _check(parts.netloc, prefix, options)
        if parts.scheme == _SENTINEL:
            return RedisUrl([_sentinel(parts.netloc, parts.path)], prefix)
        credentials, at, hosts = parts.netloc.rpartition("@")
        query = urlencode(options)
        addresses = [
            urlunsplit((parts.scheme, credentials + at + host, parts.path, query, ""))
            for host in hosts.split(",")
        ]
        return RedisUrl([_direct(address) for address in addresses], prefix)
    except ValueError as error:
        raise InvalidStoreError(f"not a Redis log: {redacted(url)} ({error})") from error


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


def _settings() -> dict[str, Any]:
    """What every connection is made with: deadlines and retries are the caller's."""
    return {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "driver_info": None,
        "decode_responses": False,
    }


def _direct(url: str) -> Connect:
    arguments: dict[str, Any] = {**parse_url(url)}
    kind: type[AbstractConnection] = arguments.pop("connection_class", Connection)

    async def connect() -> AbstractConnection:
        connection = kind(**arguments, **_settings())
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    return connect


def _sentinel(netloc: str, path: str) -> Connect:
    credentials, _, hosts = netloc.rpartition("@")
    service, _, database = path.strip("/").partition("/")
    if not service:
        raise ValueError("it names no service")
    user, _, password = credentials.partition(":")
    addresses = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        addresses.append((name, int(port or "26379")))

    async def connect() -> AbstractConnection:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            addresses, sentinel_kwargs={**_settings(), "socket_timeout": 1.0}
        )
        try:
            primary, port = await sentinel.discover_master(service)
        finally:
            for client in sentinel.sentinels:
                await client.aclose()
        connection = Connection(
            host=primary,
            port=port,
            db=database or 0,
            username=user or None,
            password=password or None,
            **_settings(),
        )
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    return connect
