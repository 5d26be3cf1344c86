"""What tests of the server share."""

from __future__ import annotations

from tests.support.redis.server import redis_of_session

__all__ = ["redis_of_session"]
