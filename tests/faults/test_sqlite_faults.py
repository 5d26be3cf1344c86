"""A whole server while the disk under its log is full, and while its file is damaged, locked or taken.

Whatever happens to the file: the process and /healthz stay up, /readyz tells, what cannot be kept is
answered `unavailable`, and nothing is acknowledged that is not there afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from server.protocol.position import Position
from tests.faults.checker import Outcome
from tests.faults.deployment import SECRET, ServerProcess, until
from tests.faults.peers import StreamPeer, connect, token
from tests.faults.watch import HealthWatch, log_is_clean, watched
from tests.faults.witnesses import ROOM, Locker, Scene, kept, receiver, status, until_status
from tests.rtcli.process import rtcli
from tests.server.broker.sqlite_helpers import rows, wal_of

ACKNOWLEDGED, REFUSED = Outcome.ACKNOWLEDGED, Outcome.REFUSED
DISK_BYTES = 32 * 1_048_576
SPARE_BYTES = 300_000  # what is left of it
log = logging.getLogger(__name__)


@contextmanager
def mounted(where: Path) -> Iterator[bool]:
    """Mount a small file system, if the system lets us."""
    where.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(where))
    done = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "--lazy", str(where)], check=True)


class Space:
    """The space that a server's log has: it can be taken away, and given back."""

    def __init__(self, directory: Path, *, is_disk: bool) -> None:
        self._directory = directory
        self._ballast = directory / "ballast"
        self._is_disk = is_disk
        self._pid = 0

    def limit(self, server: ServerProcess) -> None:
        """From now on the log can grow by some hundred KiB."""
        self._pid = server.pid
        if self._is_disk:
            self._ballast.write_bytes(bytes(shutil.disk_usage(self._directory).free - SPARE_BYTES))
        else:
            largest = max(path.stat().st_size for path in self._directory.iterdir())
            self._set_limit(largest + SPARE_BYTES)

    def give(self) -> None:
        """Let there be space again."""
        if self._is_disk:
            self._ballast.write_bytes(b"")
        else:
            self._set_limit(resource.RLIM_INFINITY)

    def _set_limit(self, size: int) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["a full disk", "a limit on the size of files"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Space, Path]]:
    """Little space, and the path of a log in it. Who may not mount gets the limit both times."""
    directory = tmp_path / "space"
    with ExitStack() as stack:
        is_disk = "disk" in request.param and stack.enter_context(mounted(directory))
        directory.mkdir(exist_ok=True)
        yield Space(directory, is_disk=is_disk), directory / "rt.db"


@pytest.fixture
async def servers() -> AsyncIterator[list[ServerProcess]]:
    """What is put in here is ended with the test."""
    servers: list[ServerProcess] = []
    yield servers
    for server in servers:
        server.end()


async def started(servers: list[ServerProcess], home: Path, path: Path) -> ServerProcess:
    servers.append(ServerProcess(home, f"sqlite:{path}", "--history-size", "100000"))
    await servers[-1].start()
    return servers[-1]


async def publish_by_http(server: ServerProcess) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token('http')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        return await http.post(f"/api/v1/rooms/{ROOM}/messages", json={"content": "x"})


async def fill(scene: Scene) -> None:
    """Publish until the log takes no more: nothing large, and then nothing small."""
    for padding in (4_000, 0):
        outcomes: list[Outcome] = []
        while REFUSED not in outcomes:
            assert len(scene.sent) < 20_000, "it never got full"
            outcomes = await scene.writer.say_all(10, padding)


async def why_not_from(server: ServerProcess, position: Position) -> str | None:
    """Why reading cannot go on from a position, if it cannot."""
    headers = {"Authorization": f"Bearer {token('reader')}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http:
        page = await http.get(f"/api/v1/rooms/{ROOM}/messages", params={"since": str(position)})
        reason: str | None = page.json()["reason"]
        return reason


async def nothing_can_be_kept(server: ServerProcess, scene: Scene) -> None:
    """Publishes are refused over both APIs; reading and the probes go on."""
    keys = [scene.writer.say() for _ in range(5)]
    await until(lambda: scene.count(Outcome.UNKNOWN) == 0, why="no answer while nothing can be kept")
    assert {scene.writer.outcome(key) for key in keys} == {REFUSED}
    answer = await publish_by_http(server)
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert "retry-after" in answer.headers
    assert await status(server, "/readyz") == 503
    assert await status(server, "/healthz") == 200
    late = await connect(server.port, StreamPeer("late", [ROOM]))
    await late.ready
    late.transport.abort()


@pytest.mark.timeout(900)
async def test_no_space_is_told_and_mended(
    tmp_path: Path, space: tuple[Space, Path], servers: list[ServerProcess], soak: bool
) -> None:
    room, path = space
    rounds = 20 if soak else 1
    server = await started(servers, tmp_path, path)
    async with watched(server):
        scene = await Scene.on(server)
        start = receiver("writer", scene.writer).start
        assert set(await scene.writer.say_all(20)) == {ACKNOWLEDGED}
        for _ in range(rounds):
            room.limit(server)
            await fill(scene)
            await nothing_can_be_kept(server, scene)
            room.give()
            await until_status(server, "/readyz", 200)
            assert set(await scene.writer.say_all(20)) == {ACKNOWLEDGED}
        assert scene.lost() == []
        verdict = await scene.verdict()
        assert verdict.violations == []
        scene.end()
    server.stop(signal.SIGKILL)
    await server.start()
    verdict = await scene.verdict(await kept(server, start))
    log.info("%d times no space: %s", rounds, verdict.summary())
    assert verdict.violations == []
    assert verdict.refused >= 5 * rounds


def serve_once(home: Path, path: Path) -> str:
    """What a server says that refuses its log at the start."""
    arguments = ("serve", "--port", "0", "--store", f"sqlite:{path}", "--secret-file", str(home / "secret"))
    done = rtcli(*arguments, home=home)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    said = done.stderr.decode()
    assert said.startswith(f"error: {path}")
    assert len(said.splitlines()) == 2
    return said


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    with mounted(tmp_path / "disk") as is_disk:
        path = tmp_path / "disk" / "rt.db"
        if is_disk:
            (tmp_path / "disk" / "ballast").write_bytes(bytes(DISK_BYTES))
        else:
            path.with_name("rt.db-lock").symlink_to("/dev/full")  # which is always full
        assert "No space left" in serve_once(tmp_path, path)


# What somebody does to the files of a running log, and what the next start says of them. None: it starts,
# with another epoch for everything, because what the write-ahead log held is gone.


def shorten(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3 // 4096 * 4096)


def replace(path: Path) -> None:
    path.unlink()
    shutil.copy(__file__, path)


DAMAGES: dict[str, tuple[Callable[[Path], None], str | None]] = {
    "shortened": (shorten, "damaged"),
    "emptied": (lambda path: os.truncate(path, 0), "damaged"),
    "removed": (Path.unlink, "damaged"),
    "replaced": (replace, "not a log of this program"),
    "its -wal shortened": (lambda path: shorten(wal_of(path)), None),
    "its -wal emptied": (lambda path: os.truncate(wal_of(path), 0), None),
    "its -wal removed": (lambda path: wal_of(path).unlink(), None),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_gets_no_acknowledgements(
    tmp_path: Path, servers: list[ServerProcess], damage: str
) -> None:
    harm, refusal = DAMAGES[damage]
    path = tmp_path / "rt.db"
    server = await started(servers, tmp_path, path)
    health = HealthWatch(server.port)
    health.start()
    scene = await Scene.on(server)
    start = receiver("writer", scene.writer).start
    assert set(await scene.writer.say_all(40, padding=2_000)) == {ACKNOWLEDGED}
    rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file itself holds something
    assert set(await scene.writer.say_all(20, padding=2_000)) == {ACKNOWLEDGED}
    harm(path)
    assert set(await scene.writer.say_all(5)) == {REFUSED}
    assert (await publish_by_http(server)).status_code == 503
    await until_status(server, "/readyz", 503)
    assert scene.lost() == []
    assert (await scene.verdict()).violations == []
    await health.stop()
    scene.end()
    server.stop(signal.SIGKILL)
    log_is_clean(server)
    if refusal is not None:
        assert refusal in serve_once(tmp_path, path)
        return
    await server.start()
    assert await why_not_from(server, start) == "epoch_changed"


@pytest.mark.timeout(900)
async def test_a_lock_by_another_program_is_waited_for_and_then_told(
    tmp_path: Path, servers: list[ServerProcess], soak: bool
) -> None:
    path = tmp_path / "rt.db"
    server = await started(servers, tmp_path, path)
    async with watched(server):
        scene = await Scene.on(server)
        start = receiver("writer", scene.writer).start
        for _ in range(20 if soak else 1):
            with Locker(path):
                waiting = [scene.writer.say() for _ in range(10)]
                await asyncio.sleep(0.3)  # less than it waits
            await until(lambda: scene.count(Outcome.UNKNOWN) == 0, why="no answer after the lock")
            assert {scene.writer.outcome(key) for key in waiting} == {ACKNOWLEDGED}
            with Locker(path):
                await nothing_can_be_kept(server, scene)
            await until_status(server, "/readyz", 200)
            assert set(await scene.writer.say_all(10)) == {ACKNOWLEDGED}
        verdict = await scene.verdict(await kept(server, start))
        log.info("locked by another program: %s", verdict.summary())
        assert verdict.violations == []
        assert scene.lost() == []
        scene.end()


async def test_a_second_server_on_the_same_file_is_refused(
    tmp_path: Path, servers: list[ServerProcess]
) -> None:
    path = tmp_path / "rt.db"
    server = await started(servers, tmp_path, path)
    async with watched(server):
        assert "in use by another process" in serve_once(tmp_path, path)
    server.stop(signal.SIGKILL)
    await server.start()  # a lock does not outlive its process
