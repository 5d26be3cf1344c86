"""What the fault tests share."""

from __future__ import annotations

from tests.conformance.redis_server import redis_of_session

__all__ = ["redis_of_session"]
