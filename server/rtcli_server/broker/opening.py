"""Opens the log that a store's URL names."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from urllib.parse import parse_qsl

from rtcli_server.auth.revocations import RevokedTokens
from rtcli_server.broker.base import Broker, InvalidStoreError, Retention
from rtcli_server.broker.coordinator import new_instance_id
from rtcli_server.broker.foreign import ForeignContent
from rtcli_server.broker.memory import MemoryBroker
from rtcli_server.broker.sharded import ShardedBroker
from rtcli_server.timing.supervision import Supervisor


def open_broker(
    url: str,
    retention: Retention | None = None,
    supervisor: Supervisor | None = None,
    foreign: ForeignContent | None = None,
    revoked: RevokedTokens | None = None,
) -> Broker:
    """Open the log that `url` names.

    `memory:`, `sqlite:PATH` with `?synchronous=full|normal`, or a URL as described in redis/target.py.
    Redis need not be up yet. Called before or in the event loop that uses the broker. `supervisor` owns what
    the log runs in the background, and is told when something of it ends. `foreign` counts what is found
    there and not ours. `revoked` is the server's list: a log in memory needs no other.

    Raises InvalidStoreError, with a text for the person who wrote the URL.
    """
    retention, supervisor = retention or Retention(), supervisor or Supervisor()
    foreign = foreign or ForeignContent()
    if url == "memory:":
        return MemoryBroker(retention, now_ms=now_ms, revoked=revoked)
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return _open_sqlite(rest, retention, supervisor, foreign)
    if scheme in {"redis", "rediss", "redis+sentinel", "redis+cluster"}:
        return _open_redis(url, retention, supervisor, foreign)
    raise InvalidStoreError(f"not a store: {url!r} (use memory:, sqlite:PATH or redis://HOST:PORT)")


def _open_sqlite(rest: str, retention: Retention, supervisor: Supervisor, foreign: ForeignContent) -> Broker:
    # Imported when used: its file lock does not exist on every system that the other logs run on.
    from rtcli_server.broker.sqlite.broker import SqliteBroker  # noqa: PLC0415 - only when it is used
    from rtcli_server.broker.sqlite.file import explain, open_file  # noqa: PLC0415 - only when it is used

    path, _, query = rest.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    for name, value in options:
        if name != "synchronous" or value not in {"full", "normal"}:
            raise InvalidStoreError(
                f"not an option of a SQLite log: {name}={value} (synchronous=full|normal)"
            )
    if path == ":memory:":
        raise InvalidStoreError("a SQLite log needs a file; for one in memory use memory:")
    synchronous = "normal" if ("synchronous", "normal") in options else "full"
    file = open_file(Path(path), "normal" if synchronous == "normal" else "full")
    try:
        return SqliteBroker(file, retention, now_ms=now_ms, supervisor=supervisor, foreign=foreign)
    except (sqlite3.Error, OSError, ValueError) as error:
        file.unlock()
        raise InvalidStoreError(explain(file.path, error)) from error


def _open_redis(url: str, retention: Retention, supervisor: Supervisor, foreign: ForeignContent) -> Broker:
    # Imported when used: importing redis takes as long as starting the rest of the server.
    from rtcli_server.broker.redis.broker import RedisBroker  # noqa: PLC0415 - only when it is used
    from rtcli_server.broker.redis.target import parse_redis_url  # noqa: PLC0415 - only when it is used
    from rtcli_server.broker.redis.timings import RedisTimings  # noqa: PLC0415 - only when it is used

    target = parse_redis_url(url)
    instance_id = new_instance_id()
    brokers = [
        RedisBroker(
            shard,
            retention,
            prefix=target.prefix,
            instance_id=instance_id,
            timings=RedisTimings(),
            now_ms=now_ms,
            supervisor=supervisor,
            foreign=foreign,
        )
        for shard in target.shards
    ]
    return brokers[0] if len(brokers) == 1 else ShardedBroker(brokers)


def now_ms() -> int:
    """The wall clock in milliseconds since 1970, the unit of `Publication.time_ms`."""
    return time.time_ns() // 1_000_000
