"""A Redis of the tests' own: on a free port, in its own directory, to be stopped, killed and restarted."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis as client

from tests.support.ports import free_port
from tests.support.processes.lifetime import DIES_WITH_US

START_DEADLINE_S = 20.0


class RedisServer:
    """One redis-server process. Persistence is off unless `aof`."""

    def __init__(self, directory: Path, *, aof: bool = False, options: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._directory = directory
        self._options = ("--appendonly", "yes" if aof else "no", "--appendfsync", "always", *options)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For `open_broker`."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def admin(self) -> client.Redis:
        """A client to look in and to meddle with."""
        return client.Redis(port=self.port, decode_responses=True, socket_timeout=10)

    def command(self, *arguments: str) -> object:
        """Run one command."""
        with self.admin as redis:
            answer: object = redis.execute_command(*arguments)
            return answer

    def setting(self, name: str) -> str:
        """A value of its configuration."""
        with self.admin as redis:
            return str(redis.config_get(name)[name])

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *DIES_WITH_US,
                "redis-server",
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self._directory), "--logfile", str(self._directory / "redis.log")),
                *self._options,
            ]
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            assert self._process.poll() is None, "redis-server ended"
            try:
                self.command("PING")
            except (client.ConnectionError, client.TimeoutError):
                assert time.monotonic() < deadline, "redis-server does not answer"
                time.sleep(0.02)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP to freeze it, SIGCONT to let it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without any chance to write."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def sentinel(directory: Path, primary: RedisServer, *, name: str) -> Iterator[int]:
    """The port of a Sentinel that watches a primary under a name, and decides alone that it is down."""
    port = free_port()
    configuration = directory / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nlogfile sentinel.log\n"
        f"sentinel monitor {name} 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds {name} 500\nsentinel failover-timeout {name} 2000\n"
    )
    process = subprocess.Popen([*DIES_WITH_US, "redis-server", str(configuration), "--sentinel"])
    try:
        yield port
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that may be harmed."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do not harm it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()
