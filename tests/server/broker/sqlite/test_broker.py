"""The SQLite log: restarts, and what is refused at open."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import NEW_MESSAGE
from rtcli_server.auth.revocations import Revocation, RevocationKind
from rtcli_server.broker import (
    BrokerUnavailableError,
    ForeignContent,
    InvalidStoreError,
    Place,
    Retention,
    open_broker,
)
from rtcli_server.broker.opening import now_ms
from rtcli_server.broker.sqlite import file as sqlite_file
from rtcli_server.broker.sqlite import schema
from tests.support.brokers.running import ROOM, event_with, offsets, running
from tests.support.brokers.sqlite_files import change, copied, rows, url, wal_of
from tests.support.waiting import until

# Restarts


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    async with running(url(path)) as log:
        first = await log.publish(key="k")
        for _ in range(9):
            await log.publish()
        before = await log.page()
    async with running(url(path)) as log:
        assert await log.page() == before
        assert (await log.publish(key="k")).position == first.position
        assert (await log.publish()).position == before.top._replace(offset=before.top.offset + 1)
        assert (await log.page("room:new")).top == Position(before.top.epoch, 0)


async def test_offsets_go_on_after_everything_was_trimmed_and_the_process_restarted(path: Path) -> None:
    retention = Retention(max_age_s=1)
    async with running(url(path), retention) as log:
        await log.publish(age_ms=5_000)
        top = (await log.publish(age_ms=5_000)).position
        log.broker._thread._maintain_at = 0.0  # type: ignore[attr-defined]
        await log.publish("all")
        await until(lambda: rows(path, "SELECT count(*) FROM publications") == [(1,)], "the old rows removed")
    async with running(url(path), retention) as log:
        assert (await log.page()).top == top
        assert (await log.publish()).position.offset == top.offset + 1


async def test_a_closed_log_is_one_file_and_may_be_opened_at_once(path: Path) -> None:
    for _ in range(5):
        async with running(url(path)) as log:
            await log.publish()
            assert exists(wal_of(path))
        assert not exists(wal_of(path))


@pytest.mark.parametrize(
    ("synchronous", "boot", "clean", "same_epoch"),
    [
        ("normal", "another", False, False),
        ("normal", "another", True, True),
        ("normal", "this", False, True),
        ("full", "another", False, True),
    ],
)
async def test_a_log_that_power_loss_may_have_shortened_gets_a_new_epoch(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, synchronous: str, boot: str, clean: bool, same_epoch: bool
) -> None:
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: "this")
    options = f"?synchronous={synchronous}"
    async with running(url(path, options)) as log:
        before = (await log.publish(key="k")).position
        left = copied(path, path.parent / "left", "-wal", "-lock")
    monkeypatch.setattr(sqlite_file, "boot_id", lambda: boot)
    async with running(url(path if clean else left, options)) as log:
        top = (await log.page()).top
        assert top.offset == 1
        assert (top.epoch == before.epoch) is same_epoch
        assert ((await log.page("room:new")).top.epoch == before.epoch) is same_epoch
        assert (await log.publish(key="k")).duplicate is same_epoch


async def test_a_log_without_checksums_gets_them_and_a_new_epoch(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(schema.MIGRATIONS[0])
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version=1")
        connection.execute("INSERT INTO meta VALUES ('epoch', 'epoch001'), ('clean', '1')")
        connection.execute("INSERT INTO channels VALUES (1, ?, 'epoch001', 2, 1, 204, 0)", ("all",))
        connection.execute("INSERT INTO publications VALUES (1, 1, 1, 'e', x'7b7d', ?)", (now_ms(),))
        connection.execute("INSERT INTO publications VALUES (2, 1, 2, 'f', x'7b7d', ?)", (now_ms(),))
    async with running(url(path)) as log:
        page = await log.page("all")
        assert [(found.offset, found.event) for found in page.publications] == [(1, "e"), (2, "f")]
        assert page.top.epoch != "epoch001"
        assert (await log.publish("all")).position == page.top._replace(offset=3)
    async with running(url(path)) as log:
        assert (await log.page("all")).top == page.top._replace(offset=3)


async def test_a_log_without_exclusions_goes_on_with_its_epochs_and_gets_them(path: Path) -> None:
    async with running(url(path)) as log:
        for number in range(5):
            await log.publish(key=f"k{number}")
        before = await log.page()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("ALTER TABLE publications DROP COLUMN exclude; PRAGMA user_version = 3")
    exclude = Exclusion(frozenset({"7"}))
    async with running(url(path)) as log:
        assert await log.page() == before
        assert await log.publish(key="k3") == (before.publications[3].position, True)
        await log.start(exclude=exclude)
        after = await log.page()
        assert after.top == before.top._replace(offset=6)
    async with running(url(path)) as log:
        assert await log.page() == after
        assert [found.exclude for found in after.publications] == [None] * 5 + [exclude]


@pytest.mark.parametrize("excluded", ["NULL", "x''", '\'{"users":["8"],"connections":[]}\''])
async def test_whom_a_publication_excludes_is_not_changed_unnoticed(path: Path, excluded: str) -> None:
    async with running(url(path)) as log:
        await log.start(exclude=Exclusion(frozenset({"7"})))
        change(path, f"UPDATE publications SET exclude = {excluded}")  # noqa: S608 - a parameter of the test
        with pytest.raises(BrokerUnavailableError, match="publication 1 of channel 1"):
            await log.page()
    with pytest.raises(InvalidStoreError, match="damaged"):
        open_broker(url(path))


async def test_an_older_schema_is_migrated_and_a_failed_migration_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(url(path)) as log:
        before = await log.publish(key="k")
    migrations = schema.MIGRATIONS
    good = "ALTER TABLE publications ADD COLUMN more TEXT NOT NULL DEFAULT 'm'; CREATE TABLE late (x)"
    bad = "CREATE TABLE other (x); DROP TABLE missing"
    monkeypatch.setattr(schema, "MIGRATIONS", (*migrations, good, bad))
    with pytest.raises(InvalidStoreError, match="missing"):
        open_broker(url(path))
    assert rows(path, "PRAGMA user_version") == [(4,)]
    assert rows(path, "SELECT name FROM sqlite_master WHERE name IN ('late', 'other')") == []
    monkeypatch.setattr(schema, "MIGRATIONS", (*migrations, good, "CREATE TABLE other (x)"))
    async with running(url(path)) as log:
        assert await log.publish(key="k") == (before.position, True)
        assert (await log.publish()).position.offset == 2
    assert rows(path, "PRAGMA user_version") == [(6,)]
    assert rows(path, "SELECT more FROM publications") == [("m",), ("m",)]


# Refused at open


async def test_a_second_broker_on_the_same_file_is_refused(path: Path) -> None:
    async with running(url(path)):
        with pytest.raises(InvalidStoreError, match="in use by another process"):
            open_broker(url(path))
        child = "import sys; from rtcli_server.broker import open_broker; open_broker(sys.argv[1])"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", child, url(path), stderr=subprocess.PIPE
        )
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 1
        assert b"in use by another process" in errors
    async with running(url(path)) as log:
        await log.publish()


def foreign_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")


def newer_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version=99")
        connection.execute("CREATE TABLE meta (name, value)")


REFUSED = [
    ("some text, longer than the header", lambda p: p.write_text("x" * 8192), "not a log of this program"),
    ("a few bytes", lambda p: p.write_bytes(b"SQL"), "not a log of this program"),
    ("another program's database", foreign_sqlite, "not a log of this program"),
    ("a newer version", newer_version, "newer version"),
    ("a directory", lambda p: p.mkdir(), "is a directory"),
    ("only the header", lambda p: p.write_bytes(b"SQLite format 3\0"), "damaged"),
]


@pytest.mark.parametrize(("make", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(path: Path, make: object, text: str) -> None:
    assert callable(make)
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InvalidStoreError, match=text) as caught:
        open_broker(url(path))
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    "store",
    ["sqlite:", "sqlite::memory:", "sqlite:a.db?synchronous=off", "sqlite:a.db?mode=ro", "sqlite:/no/dir/a"],
)
def test_urls_that_cannot_be_meant_are_refused(store: str) -> None:
    with pytest.raises(InvalidStoreError):
        open_broker(store)


def cut(path: Path, keep: float) -> None:
    os.truncate(path, int(path.stat().st_size * keep) // 4096 * 4096)


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def overwrite_new(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def exists(path: Path) -> bool:
    return path.exists()


async def filled(path: Path, publications: int = 300) -> None:
    async with running(url(path)) as log:
        await asyncio.gather(*[log.start(padding=200) for _ in range(publications)])


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
async def test_a_truncated_file_is_refused(path: Path, keep: float) -> None:
    await filled(path)
    cut(path, keep)
    with pytest.raises(InvalidStoreError, match="damaged"):
        open_broker(url(path))


async def test_a_damaged_page_is_refused(path: Path) -> None:
    await filled(path)
    overwrite(path, 4096 * 9, b"\xff" * 4096)
    with pytest.raises(InvalidStoreError, match="damaged"):
        open_broker(url(path))


@pytest.mark.parametrize(
    "value",
    [
        "publications SET data = x'7b7d' WHERE id = 3",
        "publications SET data = 'text' WHERE id = 3",
        "publications SET event = CAST(x'ff' AS TEXT) WHERE id = 3",
        "publications SET time_ms = time_ms - 1 WHERE id = 1",
        "publications SET offset = 1000 WHERE id = 5",
        "channels SET top = top - 1",
        "channels SET first = 2",
        "channels SET name = 'room:general2'",
        "channels SET epoch = 'abcd1234'",
        "keys SET offset = 2",
        "keys SET key = 'other'",
        "meta SET value = 'x' WHERE name = 'epoch'",
        "revocations SET until_ms = until_ms - 3600000",
        "revocations SET subject = 'another'",
        "revocations SET kind = 'user'",
        "revocations SET before_ms = x'00'",
    ],
)
async def test_a_damaged_value_is_refused(path: Path, value: str) -> None:
    async with running(url(path)) as log:
        await asyncio.gather(log.publish(key="k"), *[log.start() for _ in range(4)])
        await log.broker.revoke(Revocation(RevocationKind.TOKEN, "a", now_ms() + 3_600_000))
    change(path, f"UPDATE {value}")
    with pytest.raises(InvalidStoreError, match="damaged"):
        open_broker(url(path))


async def test_a_file_removed_beside_its_wal_is_refused(path: Path, tmp_path: Path) -> None:
    async with running(url(path)) as log:
        await log.publish()
        shutil.copy(wal_of(path), tmp_path / "other.db-wal")
    with pytest.raises(InvalidStoreError, match="damaged"):
        open_broker(url(tmp_path / "other.db"))


async def test_a_refused_file_is_not_locked(path: Path) -> None:
    overwrite_new(path, b"x" * 100)
    with pytest.raises(InvalidStoreError):
        open_broker(url(path))
    overwrite_new(path, b"")
    async with running(url(path)) as log:
        await log.publish()


def test_a_store_locked_by_another_program_is_refused_at_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.05)
    asyncio.run(filled(path, 1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InvalidStoreError, match="another program holds a lock"):
            open_broker(url(path))
        other.execute("ROLLBACK")


async def test_rows_that_no_server_wrote_are_skipped_and_counted(path: Path) -> None:
    foreign = ForeignContent()
    broker = open_broker(url(path), foreign=foreign)
    valid = event_with(ROOM, 3)[1]
    for event, data in ((NEW_MESSAGE, b"{}"), ("x\nevent: ready", valid), (NEW_MESSAGE, valid)):
        await broker.publish(ROOM, event, data, time_ms=now_ms())
    page = await broker.history(ROOM, since=None, limit=10)
    assert offsets(page.publications) == [3]
    assert foreign.counts[Place.LOG] == 2
    await broker.close()
