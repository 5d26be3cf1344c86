"""A server while the file of its SQLite log is damaged, locked by another program, read-only, or in use.

Whatever happens to the file: the process and /healthz stay up, /readyz tells, a publication that cannot be
kept is answered `unavailable`, and everything that is acknowledged is in the log afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rtcli.protocol.position import Position
from tests.support.brokers.sqlite_files import wal_of
from tests.support.checker import Outcome
from tests.support.faults.read_only import read_only
from tests.support.faults.sqlite_server import (
    Locker,
    filled,
    nothing_can_be_kept,
    publish_by_http,
    serve_once,
    started,
    why_not_from,
)
from tests.support.faults.witnesses import Scene, kept, receiver, until_status
from tests.support.servers.server_process import ServerProcess
from tests.support.servers.watch import HealthWatch, log_is_clean, watched
from tests.support.waiting import until

ACKNOWLEDGED, REFUSED = Outcome.ACKNOWLEDGED, Outcome.REFUSED
log = logging.getLogger(__name__)


# Damage to the files of a running log, and what the next start says about it. None: the server starts,
# with new epochs, because the content of the write-ahead log is lost.


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
    health = HealthWatch(server.port, task=server.pid)
    health.start()
    scene, start = await filled(server, path)
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
                await asyncio.sleep(0.3)  # less than the server waits for a lock
            await until(lambda: scene.count(Outcome.UNKNOWN) == 0, why="no answer after the lock")
            assert {scene.writer.outcome(key) for key in waiting} == {ACKNOWLEDGED}
            with Locker(path):
                await nothing_can_be_kept(server, scene)
            await until_status(server, "/readyz", 200)
            assert set(await scene.writer.say_all(10)) == {ACKNOWLEDGED}
        await everything_is_right(server, scene, start, "locked by another program")


@pytest.mark.timeout(900)
async def test_a_file_system_that_turns_read_only_is_told_and_needs_no_restart(
    tmp_path: Path, servers: list[ServerProcess], soak: bool
) -> None:
    path = tmp_path / "rt.db"
    server = await started(servers, tmp_path, path)
    async with watched(server):
        scene, start = await filled(server, path)
        for _ in range(20 if soak else 1):
            with read_only(server.pid):
                await nothing_can_be_kept(server, scene)
            await until_status(server, "/readyz", 200)
            assert set(await scene.writer.say_all(10)) == {ACKNOWLEDGED}
        await everything_is_right(server, scene, start, "turned read-only")


async def everything_is_right(server: ServerProcess, scene: Scene, start: Position, what: str) -> None:
    """What was acknowledged since `start` is in the log, what was refused is not, and nobody was cut off."""
    verdict = await scene.verdict(await kept(server, start))
    log.info("%s: %s", what, verdict.summary())
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
    await server.start()  # the lock ended with its process
