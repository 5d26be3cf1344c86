"""What the tests of the logs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.redis.cluster import cluster_of_session
from tests.support.redis.server import redis_of_session

__all__ = ["cluster_of_session", "redis_of_session"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rt.db"
