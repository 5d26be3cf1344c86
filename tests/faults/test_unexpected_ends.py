"""All that runs as long as a server is ended from inside: it is told, readiness is red, and it goes on.

A fault is raised once, at a function that the running thing calls. docs/operations.md has what must follow.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.asyncio.connection import AbstractConnection

from rtcli_server.auth.jwks import JwksKeys
from rtcli_server.broker.memory import MemoryBroker
from rtcli_server.broker.redis import tracker
from rtcli_server.broker.redis.broker import COMPARISON, PROBES, SUBSCRIPTIONS, TIDYING, RedisBroker
from rtcli_server.broker.redis.cluster_link import MAP, ClusterLink
from rtcli_server.broker.redis.coordinator import RedisCoordinator
from rtcli_server.broker.redis.link import CONNECTION, DEADLINES, NodeLink
from rtcli_server.broker.redis.probe import Probe
from rtcli_server.broker.redis.pubsub_listener import PubSubListener
from rtcli_server.broker.redis.tracker import ChannelTracker
from rtcli_server.broker.sqlite.broker import WRITER
from rtcli_server.metrics.registry import Metrics
from rtcli_server.process.runner import HTTP_SERVER
from rtcli_server.realtime.server import DELIVERY, DEPLOYMENT, KEYS, TIMERS, RealtimeServer
from rtcli_server.timing.supervision import Supervised, Supervisor
from tests.support.clients.peers import WsPeer, token
from tests.support.processes.rtcli import PYTHON
from tests.support.redis.cluster import RedisCluster, cluster_of_session
from tests.support.redis.server import RedisServer
from tests.support.servers.live_server import LiveServer, live_server
from tests.support.servers.live_server import token as live_token
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import until

__all__ = ["cluster_of_session"]

ROOM = "general"


class Fault:
    """Raises once, the next time that a function is called, when it is armed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        self.armed = False
        original: Callable[..., object] = getattr(owner, name)

        def call(*arguments: object, **named: object) -> object:
            if self.armed:
                self.armed = False
                raise LookupError("injected")
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, call)


class Seam(NamedTuple):
    """Where a fault is raised: what ends by it, a function that it calls, and the store that has it."""

    what: Supervised
    owner: object
    name: str
    store: str


def outdate_map(realtime: RealtimeServer) -> None:
    """Let the map of the cluster be read again."""
    broker = realtime.broker
    assert isinstance(broker, RedisBroker)
    link = broker._link
    assert isinstance(link, ClusterLink)
    link._outdated.set()


SEAMS = [
    Seam(TIMERS, Metrics, "ticked", "memory"),
    Seam(KEYS, JwksKeys, "refresh", "memory"),
    Seam(DEPLOYMENT, RedisCoordinator, "heartbeat", "redis"),
    Seam(CONNECTION, AbstractConnection, "send_packed_command", "redis"),
    Seam(DEADLINES, NodeLink, "_refuse", "redis"),
    Seam(SUBSCRIPTIONS, ChannelTracker, "on_message", "redis"),
    Seam(COMPARISON, tracker, "batched", "redis"),
    Seam(PROBES, Probe, "_probe_all", "redis"),
    Seam(TIDYING, PubSubListener, "drop_unwanted", "redis"),
    Seam(MAP, ClusterLink, "_read_map", "cluster"),
]
STORES = {"memory": None, "redis": "redis_of_session", "cluster": "cluster_of_session"}


def ready(port: int) -> int:
    """The status of /readyz."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()


async def until_ready_is(port: int, status: int) -> None:
    """Wait until /readyz has that status."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(ready, port) != status:  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.01)


async def member(port: int, bearer: str) -> WsPeer:
    """A member of the room."""
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(lambda: WsPeer("7", [ROOM], bearer=bearer), "127.0.0.1", port)
    await asyncio.wait_for(peer.ready, 30)
    return peer


async def heard(peer: WsPeer) -> None:
    """Say something new, again and again until it is acknowledged, and wait until it has come back."""
    content = secrets.token_hex(8)
    async with asyncio.timeout(30):
        while not any(message.get("id") == content for message in peer.messages if message["type"] == "ack"):
            peer.send("chat_message", id_=content, room=ROOM, content=content)
            await asyncio.sleep(0.1)
    await until(lambda: any(new["content"] == content for new in peer.of_type("new_message")), content)


@pytest.fixture(autouse=True)
def soon_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started again counts as running again sooner than in a second."""
    defaults = Supervisor.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "steady_s", 0.3)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """The URL of the store that the parameter names."""
    fixture = STORES[request.param]
    if fixture is None:
        return "memory:"
    server: RedisServer | RedisCluster = request.getfixturevalue(fixture)
    return server.url


@asynccontextmanager
async def talking(server: LiveServer) -> AsyncIterator[WsPeer]:
    """A member who is there throughout, and is heard before and after."""
    await until_ready_is(server.port, 200)
    peer = await member(server.port, live_token())
    await heard(peer)
    yield peer
    await until_ready_is(server.port, 200)
    await heard(peer)
    assert not peer.lost.done(), "its connection stayed"
    peer.transport.abort()


@pytest.mark.parametrize(
    ("seam", "store"),
    [pytest.param(seam, seam.store, id=f"{seam.what.name}-{seam.store}") for seam in SEAMS],
    indirect=["store"],
)
async def test_what_ends_is_told_turns_readiness_red_and_starts_again(
    seam: Seam, store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Fault(monkeypatch, seam.owner, seam.name)
    settings: dict[str, object] = {"store": store, "rate_limit_per_s": None, "instance_lease_s": 2.0}
    if seam.what is KEYS:
        fault.armed = True
        settings["jwks_url"] = "http://127.0.0.1:9/"  # the discard port: nobody answers there
    with live_server(**settings) as server:
        if fault.armed:
            await until_ready_is(server.port, 503)
        async with talking(server) as peer:
            if seam.what is not KEYS:
                fault.armed = True
                if seam.what is MAP:
                    server.ask(outdate_map)
                peer.send(
                    "chat_message", room=ROOM, content="this lets the connections to Redis do something"
                )
                await until_ready_is(server.port, 503)
        assert not fault.armed
        text = f"{seam.what.name} ended unexpectedly: LookupError('injected'); starting it again in 0.1 s"
        assert caplog.text.count(text) == 1
        assert f"{seam.what.name} runs again" in caplog.text


@pytest.mark.parametrize("store", STORES, indirect=True)
async def test_delivery_that_ends_starts_again(store: str, caplog: pytest.LogCaptureFixture) -> None:
    def end(realtime: RealtimeServer) -> None:
        broker = realtime.broker
        assert isinstance(broker, MemoryBroker | RedisBroker)
        for waiter in broker._closed._waiters:
            waiter.cancel()

    with live_server(store=store, rate_limit_per_s=None) as server:
        async with talking(server):
            server.ask(end)
            await until_ready_is(server.port, 503)
    assert f"{DELIVERY.name} ended unexpectedly: something that it waited for was cancelled" in caplog.text
    assert f"{DELIVERY.name} runs again" in caplog.text


# -- the process ends --------------------------------------------------------------------------------------

FAULTY = """
import runpy, sys
from pathlib import Path
{fault}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WRITER_FAULT = """
from rtcli_server.broker.sqlite.thread import WriterThread
original = WriterThread._take
def take(self):
    batch = original(self)
    if any(b"poison" in append.data for append in batch):
        raise LookupError("injected")
    return batch
WriterThread._take = take
"""
SERVER_FAULT = """
import uvicorn
original = uvicorn.Server.on_tick
async def on_tick(self, counter):
    if Path("poison").exists():
        Path("poison").unlink()
        raise LookupError("injected")
    return await original(self, counter)
uvicorn.Server.on_tick = on_tick
"""


def faulty(home: Path, fault: str) -> tuple[str, ...]:
    """What runs the command with a fault in it."""
    program = home / "faulty.py"
    program.write_text(FAULTY.format(fault=fault))
    return (PYTHON, str(program))


@pytest.mark.logs_traceback
async def test_a_log_whose_writer_ends_refuses_ends_in_order_and_has_everything(
    tmp_path: Path, servers: list[ServerProcess]
) -> None:
    url = f"sqlite:{tmp_path / 'log.db'}"
    server = ServerProcess(tmp_path, url, prefix=faulty(tmp_path, WRITER_FAULT))
    again = ServerProcess(tmp_path, url)
    servers += [server, again]
    await server.start()
    peer = await member(server.port, token("7"))
    await heard(peer)
    peer.send("chat_message", id_="x", room=ROOM, content="poison")
    await asyncio.wait_for(peer.lost, 30)
    assert peer.of_type("error")[-1]["code"] == "unavailable"
    assert peer.close_code == 1012
    assert peer.closing is not None
    assert server.wait() == 6
    text = server.log.read_text()
    assert f"{WRITER.name} ended unexpectedly: LookupError('injected'); it cannot be started again" in text
    assert f"error: {WRITER.name} ended unexpectedly: LookupError('injected')" in text
    await again.start()
    peer = await member(again.port, token("7"))
    peer.send("join_room", room=ROOM, history=10)
    await until(lambda: len(peer.of_type("new_message")) == 1, "what was acknowledged is there")
    assert again.stop(signal.SIGTERM) == 0


@pytest.mark.logs_traceback
async def test_a_server_that_does_not_serve_any_more_ends(
    tmp_path: Path, servers: list[ServerProcess]
) -> None:
    server = ServerProcess(tmp_path, prefix=faulty(tmp_path, SERVER_FAULT))
    servers.append(server)
    await server.start()
    peer = await member(server.port, token("7"))
    (tmp_path / "poison").touch()
    await asyncio.wait_for(peer.lost, 30)
    assert peer.close_code == 1012
    assert server.wait() == 6
    text = server.log.read_text()
    assert (
        f"{HTTP_SERVER.name} ended unexpectedly: LookupError('injected'); it cannot be started again" in text
    )


@pytest.mark.logs_traceback
async def test_a_worker_that_ends_is_started_again(
    tmp_path: Path, redis_of_session: RedisServer, servers: list[ServerProcess]
) -> None:
    server = ServerProcess(
        tmp_path, redis_of_session.url, "--workers", "2", prefix=faulty(tmp_path, SERVER_FAULT)
    )
    servers.append(server)
    await server.start()
    (tmp_path / "poison").touch()
    await until(lambda: "ended with exit code 6; starting it again" in server.log.read_text())
    await until_ready_is(server.port, 200)
    assert server.stop(signal.SIGTERM) == 0


# -- nothing is left to the collector ----------------------------------------------------------------------


async def test_a_redis_that_is_lost_leaves_no_exception_to_the_collector(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests of all kinds are under way when it is killed, and after that."""
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        with live_server(store=redis.url, rate_limit_per_s=None, instance_lease_s=1.0) as server:
            await until_ready_is(server.port, 200)
            peers = [await member(server.port, live_token(f"u{number}")) for number in range(10)]
            for number in range(100):
                for peer in peers:
                    peer.send("chat_message", id_=f"{number}", room=ROOM, content="x")
                    peer.send("typing", room=ROOM, is_typing=number % 2 == 0)
                    peer.send("join_room", room=f"room-{number % 50}")
                    peer.send("leave_room", room=f"room-{number % 50}")
                if number == 50:
                    redis.kill()
                await asyncio.sleep(0)
            for peer in peers[:5]:
                peer.transport.abort()
            await until_ready_is(server.port, 503)
            await until(lambda: all(peer.of_type("error") for peer in peers[5:]), "refusals")
            for peer in peers[5:]:
                peer.transport.abort()
            await asyncio.to_thread(server.wait_until, lambda realtime: not len(realtime.tasks))
    finally:
        redis.kill()
    gc.collect()
    assert "never retrieved" not in caplog.text
