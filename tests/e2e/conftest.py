from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes.command import Command, Run
from tests.support.redis.server import RedisServer, redis_of_session
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.workers import Deployment, Serve, wait_gone

__all__ = ["redis_of_session"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server with the development key of a home directory of its own."""
    own = ServerProcess(tmp_path, development=True)
    own.start_now()
    yield own
    own.kill()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start commands that are ended with the test."""
    commands: list[Command] = []

    def begin(*arguments: str, env: dict[str, str] | None = None, ignore_sigint: bool = False) -> Command:
        commands.append(Command(*arguments, home=tmp_path, env=env, ignore_sigint=ignore_sigint))
        return commands[-1]

    yield begin
    for command in commands:
        command.kill()


@pytest.fixture
def serve(tmp_path: Path, redis_of_session: RedisServer) -> Iterator[Serve]:
    """Start several workers on an empty Redis; what still runs at the end is killed, workers too."""
    redis_of_session.command("FLUSHALL")
    started: list[Deployment] = []

    def start(*arguments: str, workers: int = 2) -> Deployment:
        options = ("--store", redis_of_session.url, "--user-connections", "off", *arguments)
        started.append(Deployment(tmp_path, *options, workers=workers))
        return started[-1]

    yield start
    for deployment in started:
        workers = deployment.workers if deployment.process.poll() is None else []
        deployment.kill()
        wait_gone(workers)
