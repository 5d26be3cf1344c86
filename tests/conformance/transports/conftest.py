"""The suite runs on both WebSocket transports: each server of these fixtures uses one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis.cluster import RedisCluster
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import TRANSPORTS, LiveServer, live_server

_numbers = itertools.count()


@pytest.fixture(scope="package", params=TRANSPORTS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """One server for all tests: whatever a test does to it, it must still serve the next one."""
    with live_server(fast_websockets=TRANSPORTS[request.param], presence_grace_s=0.2) as server:
        yield server


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis", "cluster"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of an empty log, once for each kind."""
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_of_session")
        redis.command("FLUSHALL")
        return redis.url
    if request.param == "cluster":
        cluster: RedisCluster = request.getfixturevalue("cluster_of_session")
        cluster.flush()
        return cluster.url
    path: Path = tmp_path_factory.mktemp("log") / "rt.db"
    return {"memory": "memory:", "sqlite": f"sqlite:{path}"}[request.param]


@pytest.fixture(scope="module", params=TRANSPORTS)
def stored_server(request: pytest.FixtureRequest, store: str) -> Iterator[LiveServer]:
    """A server on each log, which knows that it is alone: on Redis it is a deployment of its own."""
    own = f"{store}?prefix=c{next(_numbers)}" if store.startswith("redis") else store
    with live_server(fast_websockets=TRANSPORTS[request.param], store=own) as server:
        server.wait_until(lambda realtime: realtime.deployment is None or realtime.deployment.is_alone)
        yield server


@pytest.fixture(params=TRANSPORTS)
def fast(request: pytest.FixtureRequest) -> bool:
    """For tests that start a server with settings of their own."""
    return TRANSPORTS[request.param]


@pytest.fixture
def sub(request: pytest.FixtureRequest) -> str:
    """A user of this test alone."""
    return str(abs(hash(request.node.nodeid)) % 10**9)


@pytest.fixture
def room() -> str:
    """A room that no other test uses."""
    return f"room-{next(_numbers)}"
