"""deploy/nginx.conf in front of real instances: all traffic passes, without buffering or cutting."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from rtcli.protocol.paths import room_messages_path
from rtcli_server.settings import Settings
from tests.support.clients.peers import Peer, StreamPeer, WsPeer, connect, token
from tests.support.clients.raw_http import handshake_bytes
from tests.support.faults.crowd import Crowd
from tests.support.protocol.room_names import HARD_NAMES
from tests.support.servers.nginx import Nginx, directive, nginx
from tests.support.servers.server_process import Instances, ServerProcess
from tests.support.servers.watch import log_is_clean, metric
from tests.support.waiting import until

log = logging.getLogger(__name__)


def ports(servers: Sequence[ServerProcess]) -> list[int]:
    return [server.port for server in servers]


async def member(front: Nginx, sub: str, kind: type[WsPeer | StreamPeer]) -> WsPeer | StreamPeer:
    """A member of the room, connected through nginx."""
    peer = await connect(front.port, kind(sub, ["room"]))
    await asyncio.wait_for(peer.ready, 30)
    return peer


async def say(front: Nginx, text: str, seconds: float = 30.0) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
    async with httpx.AsyncClient(base_url=front.url, timeout=seconds) as http:
        return await http.post("/api/v1/rooms/room/messages", json={"content": text}, headers=headers)


def heard(peer: WsPeer | StreamPeer) -> list[str]:
    if isinstance(peer, WsPeer):
        return [data["content"] for data in peer.of_type("new_message")]
    return [data["content"] for name, data in peer.events if name == "new_message"]


# The server also asks nginx not to buffer; here, nginx ignores that.
DEAF = {"listen 80;": "listen 80; proxy_ignore_headers X-Accel-Buffering;"}


async def test_everything_passes_and_nothing_is_held_back(instances: Instances, tmp_path: Path) -> None:
    async with instances(2) as servers:
        with nginx(tmp_path / "nginx", ports(servers), DEAF) as front:
            members = [await member(front, f"m{n}", kind) for n in range(4) for kind in (WsPeer, StreamPeer)]
            assert [await metric(server, "rtcli_connections") for server in servers] == [4, 4]
            for number in range(3):  # each is received before the next could push it through a buffer
                assert (await say(front, f"{number}")).status_code == 201
                wanted = [str(n) for n in range(number + 1)]
                await until(lambda: all(heard(m) == wanted for m in members), why="it is held back")  # noqa: B023 - at once
            async with httpx.AsyncClient(base_url=front.url) as http:
                assert (await http.get("/healthz")).status_code == 200
                assert (await http.get("/metrics")).status_code == 404
                page = await http.get("/")
                assert page.headers["content-type"].startswith("text/html")
            for peer in members:
                peer.transport.abort()


async def test_a_large_batch_and_long_headers_pass(instances: Instances, tmp_path: Path) -> None:
    async with instances(1) as servers:
        with nginx(tmp_path / "nginx", ports(servers)) as front:
            bearer = token("writer", scope="publish")
            parts = [{"room": "room", "content": "é" * 5_000} for _ in range(100)]
            async with httpx.AsyncClient(base_url=front.url, timeout=30) as http:
                headers = {"Authorization": f"Bearer {bearer}", "X-Long": "x" * 12_000}
                answer = await http.post("/api/v1/batch", json={"publications": parts}, headers=headers)
            assert answer.status_code == 200, answer.text
            assert {result["status"] for result in answer.json()["results"]} == {201}


async def test_rooms_pass_under_every_name(instances: Instances, tmp_path: Path) -> None:
    """Nginx passes paths and queries on as they came: it decodes nothing in them, and joins no slashes."""
    async with instances(1) as servers:
        with nginx(tmp_path / "nginx", ports(servers)) as front:
            headers = {"Authorization": f"Bearer {token('writer')}"}
            async with httpx.AsyncClient(base_url=front.url, headers=headers, timeout=30) as http:
                for name in (*HARD_NAMES, "a//b"):
                    path = room_messages_path(name)
                    said = await http.post(path, json={"content": name})
                    assert (said.status_code, said.json()["channel"]) == (201, f"room:{name}")
                    assert [it["content"] for it in (await http.get(path)).json()["messages"]] == [name]
            follower = await connect(front.port, StreamPeer("follower", list(HARD_NAMES)))
            await asyncio.wait_for(follower.ready, 30)
            [ready] = [data for event, data in follower.events if event == "ready"]
            assert [unquote(key) for key in ready["channels"]] == [*HARD_NAMES, "~me", "~all"]
            follower.transport.abort()


# As nginx would pass any name on, and as the server has to understand it all the same.
ANY_UPGRADE = {
    "'~*^websocket$' websocket;": "~.+ $http_upgrade;",
    "    websocket upgrade;": "    ~.+ upgrade;",
}
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("changes", [{}, ANY_UPGRADE], ids=["the file", "any upgrade"])
@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.2", "websocket", "x, websocket"])
async def test_no_request_is_smuggled_in_a_body(
    instances: Instances, tmp_path: Path, upgrade: str, changes: dict[str, str]
) -> None:
    """Nginx and the server understand the same as the body, whatever the request asks to upgrade to."""
    async with instances(1) as servers:
        with nginx(tmp_path / "nginx", ports(servers), changes) as front:
            fields = f"Upgrade: {upgrade}\r\nConnection: upgrade\r\nContent-Length: {len(SMUGGLED)}\r\n"
            request = f"POST /api/v1/rooms/room/messages HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()
            last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            for data in (request + SMUGGLED, request + SMUGGLED, last):
                writer.write(data)
            answers = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            assert re.findall(rb"HTTP/1.1 (\d+) ", answers) == [b"401", b"401", b"200"]
            assert b"rtcli_" not in answers
            async with httpx.AsyncClient(base_url=front.url) as http:
                for _ in range(5):  # nothing is left on connections that nginx keeps
                    assert (await http.get("/healthz")).json() == {"status": "alive"}


SHORT = {"proxy_read_timeout 120s": "proxy_read_timeout 1500ms"}
QUIET_S = 3.0
TIMES = (
    "ping_interval_s",
    "pong_timeout_s",
    "rfc_ping_interval_s",
    "rfc_ping_timeout_s",
    "stream_heartbeat_s",
)


async def all_kinds(front: Nginx) -> list[Peer]:
    """One connection of each kind, ready."""
    peers: list[Peer] = [
        await connect(front.port, WsPeer("a")),
        await connect(front.port, WsPeer("b", path="/api/v1/ws/v2")),
        await connect(front.port, StreamPeer("c")),
    ]
    await asyncio.gather(*(peer.ready for peer in peers))
    return peers


async def test_heartbeats_keep_quiet_connections(instances: Instances, tmp_path: Path) -> None:
    """With heartbeats rarer than its timeout, nginx does cut: so heartbeats keep the others alive."""
    async with (
        instances(1, **dict.fromkeys(TIMES, 0.7)) as often,
        instances(1, **dict.fromkeys(TIMES, 30.0)) as rarely,
    ):
        with (
            nginx(tmp_path / "often", ports(often), SHORT) as often_front,
            nginx(tmp_path / "rarely", ports(rarely), SHORT) as rarely_front,
        ):
            kept, cut = await all_kinds(often_front), await all_kinds(rarely_front)
            await asyncio.sleep(QUIET_S)
            assert [peer.lost.done() for peer in kept] == [False] * 3
            assert [peer.lost.done() for peer in cut] == [True] * 3
            for peer in kept:
                peer.transport.abort()


def test_the_timeouts_are_longer_than_heartbeats() -> None:
    settings = Settings()
    longest_s = max(getattr(settings, name) for name in TIMES)
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        assert float(directive(name).removesuffix("s")) >= 3 * longest_s


def bound(nobody: socket.socket) -> int:
    """A port that refuses connections: it is bound, and nothing listens on it."""
    nobody.bind(("127.0.0.1", 0))
    return int(nobody.getsockname()[1])


@pytest.mark.parametrize("path", ["events", "notifications", "sse"])
async def test_without_any_instance_a_browser_is_told_to_come_back(tmp_path: Path, path: str) -> None:
    with socket.socket() as nobody, nginx(tmp_path / "nginx", [bound(nobody)]) as front:
        async with httpx.AsyncClient(base_url=front.url) as http:
            answer = await http.get(f"/api/v1/{path}/stream", params={"room": "a"})
            assert (answer.status_code, answer.text) == (200, "retry: 3000\n\n")
            assert answer.headers["content-type"] == "text/event-stream"
            assert (await http.get("/api/v1/rooms/a/messages")).status_code == 502


async def test_each_client_has_its_own_address_and_cannot_choose_it(
    instances: Instances, tmp_path: Path
) -> None:
    async with instances(1, "--address-connections", "1") as servers:
        with nginx(tmp_path / "nginx", ports(servers)) as front:
            first = await connect(front.port, WsPeer("a"), source="127.0.5.1")
            other = await connect(front.port, WsPeer("b"), source="127.0.5.2")
            await asyncio.gather(first.ready, other.ready)
            for forged in (None, "203.0.113.9", "127.0.0.1", "203.0.113.9, 127.0.0.1"):
                second = WsPeer("c")
                path = f"/api/v1/ws?token={token('c')}"
                second._request = handshake_bytes(path, replace={"X-Forwarded-For": forged})
                await connect(front.port, second, source="127.0.5.1")
                await until(lambda: second.closing is not None, why="it was let in")  # noqa: B023 - at once
                assert second.closing is not None
                assert second.closing["code"] == 1013
            for peer in (first, other):
                assert not peer.lost.done()
                peer.transport.abort()


@pytest.mark.timeout(180)
async def test_a_rolling_restart_loses_nothing(instances: Instances, tmp_path: Path) -> None:
    options = ("--address-connections", "off", "--drain-timeout", "6s")
    async with instances(2, *options, retry_spread_s=1.0) as servers:
        with nginx(tmp_path / "nginx", ports(servers)) as front:
            crowd = Crowd(front.url, random.Random(5))
            try:
                tails = [crowd.tail_over_websocket(f"ws{n}") for n in range(4)]
                tails += [crowd.tail_over_sse(f"sse{n}") for n in range(4)]
                await until(lambda: all(tail.start.offset >= 0 for tail in tails), why="not all are in")
                publishers = [crowd.publisher(f"p{n}") for n in range(2)]
                for server in servers:
                    await until(grown(crowd, 20), why="nothing is published")
                    assert await metric(server, "rtcli_connections") > 0
                    server.signal(signal.SIGTERM)
                    assert await asyncio.to_thread(server.wait) == 0
                    late = await connect(front.port, WsPeer("late"))  # nginx finds the instance that is up
                    await late.ready
                    late.transport.abort()
                    await until(grown(crowd, 20), why="nothing is published on the other one")
                    await server.start()
                    await all_are_back(servers, 10)
                await crowd.rest(publishers)
                verdict = crowd.check()
            finally:
                await crowd.close()
            log.info("%s", verdict.summary())
            assert verdict.violations == []
            assert verdict.acknowledged > 80
            assert verdict.declared_lost == 0
            assert verdict.deliveries == 8 * (verdict.acknowledged + verdict.unknown)
            for server in servers:
                log_is_clean(server)
            assert '"GET /api/v1/ws" 101' in front.logs
            assert "token" not in front.logs


async def all_are_back(servers: Sequence[ServerProcess], count: int) -> None:
    deadline = time.monotonic() + 30
    while sum([await metric(server, "rtcli_connections") for server in servers]) < count:
        assert time.monotonic() < deadline, "clients are missing"
        await asyncio.sleep(0.05)


def grown(crowd: Crowd, by: int) -> Callable[[], bool]:
    """A condition: this many more were sent from now on."""
    wanted = len(crowd.sent) + by
    return lambda: len(crowd.sent) >= wanted
