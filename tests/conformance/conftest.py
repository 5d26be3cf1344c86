"""Fixtures of the conformance suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.redis.cluster import RedisCluster, cluster_of_session
from tests.support.redis.server import RedisServer, redis_of_session

__all__ = ["cluster_of_session", "redis_of_session"]


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty log, once for each store."""
    kind: str = request.param
    if kind == "redis":
        server: RedisServer = request.getfixturevalue("redis_of_session")
        server.command("FLUSHALL")
        return server.url
    if kind == "cluster":
        cluster: RedisCluster = request.getfixturevalue("cluster_of_session")
        cluster.flush()
        return cluster.url
    return {"memory": "memory:", "sqlite": f"sqlite:{tmp_path / 'rt.db'}"}[kind]
