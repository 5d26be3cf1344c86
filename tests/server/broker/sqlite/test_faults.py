"""The SQLite log while its disk is full, its file locked, taken away, or asked too much."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.sqlite import broker as sqlite_module
from rtcli_server.broker.sqlite import file as sqlite_file
from rtcli_server.broker.sqlite import thread as sqlite_thread
from rtcli_server.broker.sqlite.file import StoreFile
from tests.support.brokers.running import ROOM, Running, offsets, running
from tests.support.brokers.sqlite_files import url
from tests.support.waiting import until


async def test_a_lock_by_another_program_refuses_publishes_until_it_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(sqlite_thread, "RETRY_S", 0.05)
    async with running(url(path)) as log:
        log.broker.subscribe(ROOM)
        first = await log.publish()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(3):
                with pytest.raises(BrokerUnavailableError, match="locked") as refused:
                    await log.publish(key="k")
                assert not refused.value.maybe_published
            assert await log.broker.ready() is False
            assert (await log.page()).top == first.position  # reading goes on
            other.execute("ROLLBACK")
        await until(lambda: not log.broker._thread.failing, "recovery")  # type: ignore[attr-defined]
        assert await log.broker.ready()
        published = await log.publish(key="k")
        assert published == (first.position._replace(offset=2), False)
        assert offsets(log.delivered) == [1, 2]


async def test_an_idle_log_notices_that_it_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    async with running(url(path)) as log:
        for _ in range(2):
            caplog.clear()
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await until(lambda: log.broker._thread.failing, "red")  # type: ignore[attr-defined]
                assert await log.broker.ready() is False
                other.execute("ROLLBACK")
            await log.wait_ready()
            [red, green] = caplog.messages
            assert "locked" in red
            assert "can be written again" in green


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A file system of 512 KiB, and whether the system let us mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    yield disk, mounted.returncode == 0
    if mounted.returncode == 0:
        subprocess.run(["umount", str(disk)], check=True)


async def publish_until_refused(log: Running, acknowledged: list[Position]) -> None:
    for _ in range(1000):
        published = await log.start(padding=4000)
        acknowledged.append(published.position)


def fill(disk: Path, size: int) -> None:
    (disk / "ballast").write_bytes(b"x" * size)


def limit_pages(log: object, pages: int) -> None:
    """Fill the disk as far as SQLite knows: the same error (SQLITE_FULL), where mounting is not allowed."""
    log._thread._writer._connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]


async def test_a_full_disk_refuses_publishes_and_loses_none(
    small_disk: tuple[Path, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_thread, "RETRY_S", 0.05)
    disk, is_mounted = small_disk
    path = disk / "rt.db"
    acknowledged: list[Position] = []
    async with running(url(path)) as log:
        log.broker.subscribe(ROOM)
        if is_mounted:
            fill(disk, 200_000)
        else:
            limit_pages(log.broker, 40)
        with pytest.raises(BrokerUnavailableError, match=r"full|disk") as refused:
            await publish_until_refused(log, acknowledged)
        assert not refused.value.maybe_published
        assert await log.broker.ready() is False
        page = await log.page()
        assert page.top == acknowledged[-1]
        assert offsets(page.publications) == [position.offset for position in acknowledged]
        if is_mounted:
            fill(disk, 0)
        else:
            limit_pages(log.broker, 10_000)
        await until(lambda: not log.broker._thread.failing, "recovery")  # type: ignore[attr-defined]
        acknowledged.append((await log.publish()).position)
        assert acknowledged[-1].offset == acknowledged[-2].offset + 1
        assert offsets(log.delivered) == [position.offset for position in acknowledged]
    async with running(url(path)) as log:
        assert offsets((await log.page()).publications) == [position.offset for position in acknowledged]


def take_away(path: Path, damage: str) -> None:
    if damage == "truncated":
        os.truncate(path, 4096)
        return
    path.unlink()
    if damage == "replaced":
        shutil.copy(__file__, path)


@pytest.mark.parametrize("damage", ["removed", "replaced", "truncated"])
async def test_a_file_that_is_taken_away_gets_no_acknowledgements(path: Path, damage: str) -> None:
    async with running(url(path)) as log:
        for _ in range(2000):
            await log.start(padding=500)
        take_away(path, damage)
        with pytest.raises(BrokerUnavailableError, match=r"replaced or truncated|was removed"):
            await log.publish()
        assert await log.broker.ready() is False


async def test_what_fails_after_its_commit_may_be_published(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit succeeds, and the note of it fails: the publication is there, and a repeat finds it."""
    monkeypatch.setattr(sqlite_thread, "RETRY_S", 0.05)
    async with running(url(path)) as log:
        before = await log.publish()
        note, notes = StoreFile.note, [0]

        def failing(self: StoreFile, confirmed: int, pending: int) -> None:
            notes[0] += 1
            if notes[0] == 2:
                raise OSError(errno.EIO, "the note cannot be written")
            note(self, confirmed, pending)

        with monkeypatch.context() as patch:
            patch.setattr(StoreFile, "note", failing)
            with pytest.raises(BrokerUnavailableError, match="cannot be written") as failed:
                await log.publish(key="k")
        assert failed.value.maybe_published
        await until(lambda: not log.broker._thread.failing, "recovery")  # type: ignore[attr-defined]
        repeated = await log.publish(key="k")
        assert repeated == (before.position._replace(offset=2), True)


async def test_one_publish_that_cannot_be_written_does_not_fail_its_neighbours(path: Path) -> None:
    async with running(url(path)) as log:
        good = [log.start() for _ in range(3)]
        bad = [
            log.broker.publish("room:\ud800", "e", b"{}", time_ms=0),
            log.broker.publish(ROOM, "e", b"{}", time_ms=2**63),
        ]
        good += [log.start(key="k") for _ in range(3)]
        results = await asyncio.gather(*good, *bad, return_exceptions=True)
        assert all(isinstance(result, BrokerUnavailableError) for result in results[6:])
        assert not any(isinstance(result, BaseException) for result in results[:6])
        assert [future.result().position.offset for future in good] == [1, 2, 3, 4, 4, 4]
        assert await log.broker.ready()


async def test_too_many_outstanding_bytes_are_refused_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "MAX_OUTSTANDING_BYTES", 100_000)
    async with running(url(path)) as log:
        results = await asyncio.gather(
            *[log.start(padding=10_000) for _ in range(20)], return_exceptions=True
        )
        assert sum(isinstance(result, BrokerUnavailableError) for result in results) == 10
        assert (await log.publish()).position.offset == 11
        many = Exclusion(frozenset(f"{number:0>100}" for number in range(20)))  # 10 000 bytes of names
        results = await asyncio.gather(*[log.start(exclude=many) for _ in range(20)], return_exceptions=True)
        assert sum(isinstance(result, BrokerUnavailableError) for result in results) == 10
        assert (await log.publish()).position.offset == 22


async def test_too_many_outstanding_publishes_are_refused_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_module, "MAX_OUTSTANDING", 100)
    async with running(url(path)) as log:
        futures = [log.start() for _ in range(150)]
        assert [future.done() for future in futures] == [False] * 100 + [True] * 50
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [isinstance(result, BrokerUnavailableError) for result in results] == [False] * 100 + [
            True
        ] * 50
        assert (await log.publish()).position.offset == 101
