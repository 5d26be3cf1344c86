"""What the tests of several instances share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.redis.server import RedisServer
from tests.support.servers.two_instances import Pair, two_instances


@pytest.fixture(scope="module")
def pair(redis_of_session: RedisServer) -> Iterator[Pair]:
    with two_instances(redis_of_session) as instances:
        yield instances
