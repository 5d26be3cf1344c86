"""Reads the URL of a Redis log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

from rtcli_server.broker.base import InvalidStoreError
from rtcli_server.broker.redis.target import Cluster, Sentinels, Server, Target

DEFAULT_PREFIX = "rt"
_TLS_OPTIONS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"}


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
