"""Deployments that a load test runs against: each with one fault, or the same one sound.

Every function makes a `Deployment`: it is opened with a directory of its own and whether it is sound.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil
from typing_extensions import override

from rtcli.load.run.coordinator import ProgressView, RunState
from rtcli_server.process.runner import running_server
from rtcli_server.settings import Settings
from tests.support.fakes.faulty_server.door import OPEN, Door
from tests.support.fakes.faulty_server.faults import Faults
from tests.support.fakes.faulty_server.server import faulty_server
from tests.support.load.runs import SECRET
from tests.support.ports import free_port
from tests.support.redis.server import RedisServer
from tests.support.servers.nginx import nginx
from tests.support.servers.server_process import SECRET as PROCESS_SECRET
from tests.support.servers.server_process import ServerProcess
from tests.support.tcp_proxy import TcpProxy, Treatment, held

STALL_S = 0.7


class WhenAllAreThere(ProgressView):
    """Calls a function once, when so many connections are open."""

    def __init__(self, connections: int, call: Callable[[], None]) -> None:
        self._connections = connections
        self._call: Callable[[], None] | None = call

    @override
    def show(self, state: RunState) -> None:
        if self._call is not None and sum(state.connections.values()) >= self._connections:
            self._call()
            self._call = None


@dataclass(frozen=True)
class Target:
    """Where a deployment is reached. `fail` makes its fault happen once everybody is there."""

    url: str
    secret: str = SECRET
    fail: Callable[[], None] | None = None


class Deployment(Protocol):
    """Opened with a directory, and whether it is sound."""

    def __call__(self, directory: Path, /, *, sound: bool) -> AbstractAsyncContextManager[Target]:
        """Run the deployment until the block ends."""
        ...


def door(how: Door) -> Deployment:
    """A server that lets users in, and out, in this way."""

    @asynccontextmanager
    async def opened(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
        async with faulty_server(door=OPEN if sound else how) as server:
            yield Target(server.url)

    return opened


def faults(make: Callable[[], Faults]) -> Deployment:
    """A server that makes these faults when it delivers and answers."""

    @asynccontextmanager
    async def opened(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
        async with faulty_server(Faults({}) if sound else make()) as server:
            yield Target(server.url)

    return opened


@asynccontextmanager
async def nobody_listens(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
    """A port that refuses connections."""
    if sound:
        async with faulty_server() as server:
            yield Target(server.url)
    else:
        yield Target(f"http://127.0.0.1:{free_port()}")


def ours(**limits: object) -> Deployment:
    """Our own server in this process, with limits."""

    @asynccontextmanager
    async def opened(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
        unlimited = {"rate_limit_per_s": None, "user_connections": None, "address_connections": None}
        chosen = {"port": 0, "secrets": (SECRET,), **unlimited, **({} if sound else limits)}
        async with running_server(Settings.model_validate(chosen)) as server:
            yield Target(server.url)

    return opened


def signalled(*numbers: signal.Signals) -> Deployment:
    """Our own server as a process that gets signals; what SIGSTOP stops goes on later."""

    @asynccontextmanager
    async def opened(directory: Path, *, sound: bool) -> AsyncIterator[Target]:
        server = ServerProcess(directory)
        await server.start()

        def fail() -> None:
            for number in numbers:
                if number is signal.SIGSTOP:
                    stall(server.pid)
                else:
                    server.signal(number)

        try:
            yield Target(server.url, PROCESS_SECRET, None if sound else fail)
        finally:
            server.kill()

    return opened


def stall(*processes: int) -> None:
    """Stop processes, and continue them later."""

    def signal_all(number: signal.Signals) -> None:
        for pid in processes:
            os.kill(pid, number)

    signal_all(signal.SIGSTOP)
    asyncio.get_running_loop().call_later(STALL_S, signal_all, signal.SIGCONT)


@asynccontextmanager
async def stalled_network(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
    """A network that holds everything back for a while."""
    flows = asyncio.Event()
    flows.set()

    def fail() -> None:
        flows.clear()
        asyncio.get_running_loop().call_later(STALL_S, flows.set)

    async with faulty_server() as server:
        port = int(server.url.rpartition(":")[2])
        treatment = Treatment(up=[held(flows)], down=[held(flows)])
        async with TcpProxy(port, lambda _link: treatment).running() as proxy:
            yield Target(f"http://127.0.0.1:{proxy.port}", fail=None if sound else fail)


@asynccontextmanager
async def stalled_generator(_directory: Path, *, sound: bool) -> AsyncIterator[Target]:
    """A sound server; the workers of the load generator stand still for a while."""
    async with faulty_server() as server:
        yield Target(server.url, fail=None if sound else lambda: stall(*workers()))


def workers() -> list[int]:
    """The workers of this process's load generator."""
    children = psutil.Process().children()
    return [child.pid for child in children if "rtcli.load.run.worker_process" in " ".join(child.cmdline())]


@asynccontextmanager
async def small_nginx(directory: Path, *, sound: bool) -> AsyncIterator[Target]:
    """Our own server behind an nginx that has connections for a few users."""
    server = ServerProcess(directory)
    await server.start()
    few = {
        "worker_processes auto;": "worker_processes 1;",
        "worker_connections 30000;": "worker_connections 10;",
    }
    try:
        with nginx(directory / "nginx", [server.port], None if sound else few) as proxy:
            yield Target(proxy.url, PROCESS_SECRET)
    finally:
        server.kill()


@asynccontextmanager
async def two_instances(directory: Path, *, sound: bool) -> AsyncIterator[Target]:
    """Two instances on one Redis behind an nginx, of which one is killed."""
    with _redis(directory / "redis") as redis:
        homes = [directory / "first", directory / "second"]
        instances = []
        try:
            for home in homes:
                home.mkdir()
                instances.append(ServerProcess(home, f"{redis.url}?prefix=two"))
                await instances[-1].start()
            with nginx(directory / "nginx", [server.port for server in instances]) as proxy:
                fail = None if sound else lambda: instances[0].signal(signal.SIGKILL)
                yield Target(proxy.url, PROCESS_SECRET, fail)
        finally:
            for server in instances:
                server.kill()


@contextmanager
def _redis(directory: Path) -> Iterator[RedisServer]:
    directory.mkdir()
    redis = RedisServer(directory)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()
