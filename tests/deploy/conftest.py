"""Two instances on one Redis, with the user of deploy/redis.acl."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.redis.server import RedisServer
from tests.support.servers.server_process import Instances, ServerProcess

ACL = ROOT / "deploy" / "redis.acl"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that accepts the users of the file, and this test."""
    directory = tmp_path_factory.mktemp("redis")
    acl = directory / "redis.acl"
    acl.write_text(ACL.read_text().replace("default off", "default on nopass ~* &* +@all"))
    server = RedisServer(directory, options=("--aclfile", str(acl)))
    server.start()
    yield server
    assert server.command("ACL", "LOG") == [], "the rights of deploy/redis.acl are not enough"
    server.kill()


@pytest.fixture
def instances(redis: RedisServer, tmp_path: Path) -> Instances:
    """Run several instances, configured by RTCLI_SERVER_*. They are killed at the end."""
    homes = (tmp_path / f"instance-{number}" for number in count())

    @asynccontextmanager
    async def run(number: int, *options: str, **settings: object) -> AsyncIterator[list[ServerProcess]]:
        redis.command("FLUSHALL")
        store = f"redis://rtcli:change-me@127.0.0.1:{redis.port}"
        started: list[ServerProcess] = []
        try:
            for _ in range(number):
                home = next(homes)
                home.mkdir()
                server = ServerProcess(
                    home, store, "--trusted-proxy", "127.0.0.1", *options, settings=settings
                )
                started.append(server)
                await server.start()
            yield started
        finally:
            for server in started:
                server.kill()

    return run
