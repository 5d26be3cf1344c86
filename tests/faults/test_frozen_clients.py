"""Clients that never read, that freeze and come back, and that vanish without closing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.clients.peers import StreamPeer, WsPeer, connect, freeze, token
from tests.support.paths import ROOT
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import metric, resident_bytes, until_metric, watched
from tests.support.waiting import until

CHILD = "tests.support.faults.silent_client"
MIB = 1024 * 1024
NO_LIMITS = ("--user-connections", "off", "--address-connections", "off")


async def start(home: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> ServerProcess:
    """A server with these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(f"RTCLI_SERVER_{name.upper()}", value)
    server = ServerProcess(home, "memory:", *NO_LIMITS)
    await server.start()
    return server


@pytest.fixture
async def ended() -> AsyncIterator[list[ServerProcess]]:
    """A stack of servers; all of them are ended with the test."""
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.kill()


async def say(server: ServerProcess, room: str, count: int, size: int) -> None:
    """Publish `count` messages of `size` characters, each acknowledged."""
    headers = {"Authorization": f"Bearer {token('writer', scope='publish')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        for number in range(count):
            content = f"{number}:".ljust(size, "x")
            answer = await http.post(f"/api/v1/rooms/{room}/messages", json={"content": content})
            assert answer.status_code == 201, answer.text


def numbers(peer: WsPeer) -> list[int]:
    """The numbers of the messages that came, in order of arrival."""
    return [int(data["content"].partition(":")[0]) for data in peer.of_type("new_message")]


@pytest.mark.timeout(180)
async def test_fifty_clients_that_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[ServerProcess]
) -> None:
    server = await start(
        tmp_path, monkeypatch, slow_deadline_s="3", send_budget_bytes="262144", rate_limit_per_s="off"
    )
    ended.append(server)
    async with watched(server):
        reader = await connect(server.port, WsPeer("reader", ["room"]))
        await reader.ready
        sockets = [await freeze(server.port, WsPeer(f"f{n}", ["room"])) for n in range(40)]
        streams = [await freeze(server.port, StreamPeer(f"s{n}", ["room"])) for n in range(10)]
        before = resident_bytes(server.pid)
        await say(server, "room", 700, 8_000)
        await until(lambda: numbers(reader) == list(range(700)), why="who reads does not get everything")
        used = resident_bytes(server.pid) - before
        assert used < 50 * 4 * 262_144 + 32 * MIB  # their budgets with overhead, and the log
        await until_metric(server, "rtcli_connections", 1)  # the fifty are cut after their deadline
        assert reader.close_code is None
        reader.transport.close()
        for peer in (*sockets, *streams):
            peer.transport.abort()


class SilentClient:
    """`silent_client` in a process of its own, which can be stopped as a whole."""

    def __init__(self, server: ServerProcess, *, path: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", CHILD, f"{server.port}", path, token("silent")],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            cwd=ROOT,
        )

    async def line(self) -> dict[str, object]:
        """The next line of its output."""
        assert self.process.stdout is not None
        said = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 30)
        line: dict[str, object] = json.loads(said)
        return line

    def end(self) -> None:
        """Kill the process, even if it is stopped."""
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("path", ["/api/v1/ws", "/api/v1/ws/v2"])
async def test_a_frozen_client_is_found_by_the_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[ServerProcess], path: str
) -> None:
    server = await start(
        tmp_path,
        monkeypatch,
        ping_interval_s="0.5",
        pong_timeout_s="0.5",
        rfc_ping_interval_s="0.5",
        rfc_ping_timeout_s="0.5",
    )
    ended.append(server)
    async with watched(server):
        client = SilentClient(server, path=path)
        try:
            assert await client.line() == {"joined": True}
            await until_metric(server, "rtcli_connections", 1)
            os.kill(client.process.pid, signal.SIGSTOP)
            await until_metric(server, "rtcli_connections", 0)
            os.kill(client.process.pid, signal.SIGCONT)
            assert await client.line() == {"closed": 4000}  # it gets the reason if it ever wakes up
        finally:
            client.end()


async def test_a_client_that_was_frozen_for_a_while_gets_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[ServerProcess]
) -> None:
    server = await start(tmp_path, monkeypatch, send_budget_bytes="65536", rate_limit_per_s="off")
    ended.append(server)
    async with watched(server):
        peer = await freeze(server.port, WsPeer("sleeper", ["room"]))
        await say(server, "room", 700, 8_000)
        assert await metric(server, "rtcli_slow_clients") == 1
        peer.transport.resume_reading()
        await until(lambda: len(numbers(peer)) == 700, why="it does not catch up")
        assert numbers(peer) == list(range(700))
        await until_metric(server, "rtcli_slow_clients", 0)
        await say(server, "room", 1, 10)
        await until(lambda: len(numbers(peer)) == 701, why="it is not live again")
        peer.transport.close()


def test_peers_whose_network_is_gone_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intervals = ("ping_interval_s", "pong_timeout_s", "rfc_ping_interval_s", "rfc_ping_timeout_s")
    for name in (*intervals, "stream_heartbeat_s"):
        monkeypatch.setenv(f"RTCLI_SERVER_{name.upper()}", "0.5")
    monkeypatch.setenv("RTCLI_SERVER_TCP_USER_TIMEOUT_S", "3")  # ends streams, which cannot answer
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    command = [
        "unshare",
        "--net",
        *user,
        sys.executable,
        "-m",
        "tests.support.faults.half_open",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr.decode()
