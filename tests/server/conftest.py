"""What tests of the server share."""

from __future__ import annotations

from tests.support.redis.cluster import cluster_of_session
from tests.support.redis.server import own_redis, redis_of_session

__all__ = ["cluster_of_session", "own_redis", "redis_of_session"]
