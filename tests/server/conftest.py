"""What tests of the server share."""

from __future__ import annotations

from tests.support.redis.server import own_redis, redis_of_session

__all__ = ["own_redis", "redis_of_session"]
