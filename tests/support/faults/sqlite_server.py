"""A whole server on a SQLite log, and what must hold while nothing can be kept there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx

from rtcli.protocol.position import Position
from tests.support.brokers.sqlite_files import rows
from tests.support.checker import Outcome
from tests.support.clients.peers import StreamPeer, connect, token
from tests.support.faults.witnesses import ROOM, Scene, receiver, status
from tests.support.processes.rtcli import RTCLI, rtcli
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import until


async def started(servers: list[ServerProcess], home: Path, path: Path) -> ServerProcess:
    """Start a server that keeps everything, and put it with the others."""
    servers.append(ServerProcess(home, f"sqlite:{path}", "--history-size", "100000"))
    await servers[-1].start()
    return servers[-1]


async def filled(server: ServerProcess, path: Path) -> tuple[Scene, Position]:
    """A scene whose writer has said what is now in the file itself; and where it began."""
    scene = await Scene.on(server)
    start = receiver("writer", scene.writer).start
    assert set(await scene.writer.say_all(40, padding=2_000)) == {Outcome.ACKNOWLEDGED}
    rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return scene, start


def serve_once(home: Path, path: Path, command: Sequence[str] = (RTCLI,)) -> str:
    """What a server says that refuses its log at the start."""
    arguments = ("serve", "--port", "0", "--store", f"sqlite:{path}", "--secret-file", str(home / "secret"))
    done = rtcli(*arguments, home=home, command=command)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    said = done.stderr.decode()
    assert said.startswith(f"error: {path}")
    assert len(said.splitlines()) == 2
    return said


async def publish_by_http(server: ServerProcess) -> httpx.Response:
    """Publish a message over the HTTP API."""
    headers = {"Authorization": f"Bearer {token('http')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        return await http.post(f"/api/v1/rooms/{ROOM}/messages", json={"content": "x" * 16_000})


async def why_not_from(server: ServerProcess, position: Position) -> str | None:
    """Why reading cannot go on from a position, if it cannot."""
    headers = {"Authorization": f"Bearer {token('reader')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        page = await http.get(f"/api/v1/rooms/{ROOM}/messages", params={"since": str(position)})
        reason: str | None = page.json()["reason"]
        return reason


async def nothing_can_be_kept(server: ServerProcess, scene: Scene) -> None:
    """Publishes are refused over both APIs; reading and the probes go on."""
    keys = [scene.writer.say(padding=8_000) for _ in range(5)]
    await until(lambda: scene.count(Outcome.UNKNOWN) == 0, why="no answer while nothing can be kept")
    assert {scene.writer.outcome(key) for key in keys} == {Outcome.REFUSED}
    answer = await publish_by_http(server)
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert "retry-after" in answer.headers
    assert await status(server, "/readyz") == 503
    assert await status(server, "/healthz") == 200
    late = await connect(server.port, StreamPeer("late", [ROOM]))
    await late.ready
    late.transport.abort()


class Locker:
    """Another program that holds the file's write lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        with closing(self._connection):
            self._connection.execute("ROLLBACK")
