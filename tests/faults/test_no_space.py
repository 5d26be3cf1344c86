"""A server while there is no space for its SQLite log, and afterwards."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.brokers.sqlite_files import rows
from tests.support.checker import Outcome
from tests.support.faults.sqlite_server import nothing_can_be_kept, serve_once, started
from tests.support.faults.witnesses import Scene, kept, receiver, until_status
from tests.support.processes.rtcli import RTCLI
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.servers.watch import watched

ACKNOWLEDGED, REFUSED = Outcome.ACKNOWLEDGED, Outcome.REFUSED
DISK_BYTES = 32 * 1_048_576
SPARE_BYTES = 200_000  # the rest when it is nearly full
# Runs a command where there is a full disk at a path. Everything is gone when the command ends.
FILL_AND_RUN = """
  mount -t tmpfs -o size=1m tmpfs "$0"
  cat /dev/zero > "$0/ballast" 2> /dev/null
  exec "$@"
"""
log = logging.getLogger(__name__)


@contextmanager
def mounted(where: Path) -> Iterator[bool]:
    """Mount a small file system if that is allowed. Yields whether it is mounted."""
    where.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(where))
    done = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "--lazy", str(where)], check=True)


class Space:
    """The space for a server's log, which can be limited and given back."""

    def __init__(self, directory: Path, *, is_disk: bool) -> None:
        self._directory = directory
        self._ballast = directory / "ballast"
        self._is_disk = is_disk
        self._pid = 0

    def limit(self, server: ServerProcess, path: Path) -> None:
        """Let the log at `path` grow by at most some hundred KiB from now on."""
        rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")  # otherwise the log would reuse its space
        self._pid = server.pid
        if self._is_disk:
            self._ballast.write_bytes(bytes(shutil.disk_usage(self._directory).free - SPARE_BYTES))
        else:
            self._set_limit(SPARE_BYTES)

    def give(self) -> None:
        """Remove the limit."""
        if self._is_disk:
            self._ballast.write_bytes(b"")
        else:
            self._set_limit(resource.RLIM_INFINITY)

    def _set_limit(self, size: int) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["a full disk", "a limit on the size of files"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Space, Path]]:
    """Little space, and the path of a log in it. Without the right to mount, both use the limit."""
    directory = tmp_path / "space"
    with ExitStack() as stack:
        is_disk = "disk" in request.param and stack.enter_context(mounted(directory))
        directory.mkdir(exist_ok=True)
        yield Space(directory, is_disk=is_disk), directory / "rt.db"


async def fill(scene: Scene) -> None:
    """Publish until the log refuses large publications, and then small ones too."""
    for padding in (4_000, 0):
        outcomes: list[Outcome] = []
        while REFUSED not in outcomes:
            assert len(scene.sent) < 20_000, "it never got full"
            outcomes = await scene.writer.say_all(10, padding)


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
            room.limit(server, path)
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


def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    disk = tmp_path / "disk"
    disk.mkdir()
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    on_full_disk = ("unshare", "--mount", *user, "sh", "-c", FILL_AND_RUN, str(disk), RTCLI)
    assert "No space left" in serve_once(tmp_path, disk / "rt.db", command=on_full_disk)
