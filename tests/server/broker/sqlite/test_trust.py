"""Files that are not what the last process left: a position of before must never mean another publication.

And what other programs may do to a log that is in use without any harm.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rtcli.protocol.position import Position
from rtcli_server.broker import BrokerUnavailableError
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import copied, rows, url, wal_of


def backed_up(source: Path, target: Path) -> None:
    """A backup of a log in use, by SQLite's own means."""
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
        here.backup(there)


async def epoch_of(path: Path, *, publishes: int = 0) -> str:
    async with running(url(path)) as log:
        for _ in range(publishes):
            await log.publish()
        return (await log.page()).top.epoch


@pytest.mark.parametrize("publishes", [0, 3])
async def test_what_a_killed_process_left_goes_on(path: Path, tmp_path: Path, publishes: int) -> None:
    before = await epoch_of(path, publishes=3)
    async with running(url(path)) as log:
        for _ in range(publishes):
            await log.publish()
        left = copied(path, tmp_path / "left", "-wal", "-lock")
    assert await epoch_of(left) == before


@pytest.mark.parametrize("beside", ["-lock", ""])
async def test_a_log_without_its_write_ahead_log_begins_anew(path: Path, tmp_path: Path, beside: str) -> None:
    async with running(url(path)) as log:
        before = (await log.publish()).position
        left = copied(path, tmp_path / "left", beside)
    assert await epoch_of(left) != before.epoch


async def test_a_log_that_was_closed_may_be_moved(path: Path, tmp_path: Path) -> None:
    before = await epoch_of(path, publishes=3)
    moved = tmp_path / "moved.db"
    shutil.move(path, moved)
    assert await epoch_of(moved, publishes=3) == before
    assert await epoch_of(moved) == before


@pytest.mark.parametrize("hot", [True, False], ids=["of a log in use", "of a closed log"])
async def test_a_backup_that_is_brought_back_begins_anew(path: Path, tmp_path: Path, hot: bool) -> None:
    before = await epoch_of(path, publishes=3)
    backup = tmp_path / "backup.db"
    if not hot:
        shutil.copy(path, backup)
    async with running(url(path)) as log:
        await log.publish()
        if hot:
            backed_up(path, backup)
            await log.publish()
    shutil.copy(backup, path)
    async with running(url(path)) as log:
        top = (await log.page()).top
        assert top.epoch != before
        assert top.offset == (4 if hot else 3)  # what was in the backup is there
        assert (await log.publish()).position == top._replace(offset=top.offset + 1)
    assert await epoch_of(path) == top.epoch


@pytest.mark.parametrize("pragma", ["wal_checkpoint(TRUNCATE)", "wal_checkpoint(RESTART)", "quick_check"])
async def test_another_program_may_look_and_tidy_up(path: Path, tmp_path: Path, pragma: str) -> None:
    async with running(url(path)) as log:
        for number in range(1, 6):
            assert (await log.publish()).position.offset == 2 * number - 1
            rows(path, f"PRAGMA {pragma}")
            backed_up(path, tmp_path / "backup.db")
            assert (await log.publish()).position.offset == 2 * number
        assert await log.broker.ready()
        assert len((await log.page()).publications) == 10


DAMAGES: dict[str, Callable[[Path], None]] = {
    "shortened": lambda wal: os.truncate(wal, wal.stat().st_size - 1),
    "emptied": lambda wal: os.truncate(wal, 0),
    "removed": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_nothing_is_acknowledged_into_a_damaged_write_ahead_log(path: Path, damage: str) -> None:
    async with running(url(path)) as log:
        before = (await fill(log)).epoch
        DAMAGES[damage](wal_of(path))
        with pytest.raises(BrokerUnavailableError, match=r"-wal was (removed|replaced or truncated)"):
            await log.publish()
        assert await log.broker.ready() is False
    assert await epoch_of(path) != before


async def fill(log: Running) -> Position:
    """Publish a few, and return the last one's position."""
    return [await log.publish() for _ in range(5)][-1].position
