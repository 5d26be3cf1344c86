"""Revocations in a SQLite file: they belong to what has to be whole, and go when they are over."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rtcli_server.auth.revocations import OVER_FOR_MS, Revocation, RevocationKind
from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.opening import now_ms
from rtcli_server.broker.sqlite import thread
from tests.support.brokers.running import running
from tests.support.brokers.sqlite_files import change, copied, rows, url

HOUR_MS = 3_600_000


def about(name: str, *, for_ms: int = HOUR_MS) -> Revocation:
    return Revocation(RevocationKind.TOKEN, name, now_ms() + for_ms)


async def test_a_killed_process_leaves_them_and_a_log_that_is_whole(path: Path, tmp_path: Path) -> None:
    async with running(url(path)) as log:
        published = await log.publish()
        kept = [about("a"), about("b")]
        for revocation in kept:
            await log.broker.revoke(revocation)
        await log.broker.revoke(kept[0])  # the same again
        left = copied(path, tmp_path / "left", "-wal", "-lock")
    async with running(url(left)) as log:
        assert await log.broker.revocations() == kept
        assert (await log.publish()).position == published.position._replace(offset=2), "no new epoch"


async def test_a_file_of_an_older_schema_is_taken_over_with_its_epochs(path: Path) -> None:
    async with running(url(path)) as log:
        published = await log.publish()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "DROP TABLE revocations; ALTER TABLE publications DROP COLUMN exclude; PRAGMA user_version = 2"
        )
    async with running(url(path)) as log:
        assert await log.broker.revocations() == []
        kept = about("a")
        await log.broker.revoke(kept)
        assert await log.broker.revocations() == [kept]
        assert (await log.publish()).position.epoch == published.position.epoch


async def test_one_that_is_found_while_it_runs_stops_the_log(path: Path) -> None:
    """A list that may lack something is none: the server does not start to trust tokens with it."""
    async with running(url(path)) as log:
        await log.broker.revoke(about("a"))
        change(path, "UPDATE revocations SET until_ms = 1")
        with pytest.raises(BrokerUnavailableError, match="revocation"):
            await log.broker.revocations()
        assert await log.broker.ready() is False


async def test_a_row_that_is_missing_is_told(path: Path) -> None:
    """As a publication that is missing: the file is not what was acknowledged, so epochs begin anew."""
    async with running(url(path)) as log:
        published = await log.publish()
        await log.broker.revoke(about("a"))
    change(path, "DELETE FROM revocations")
    async with running(url(path)) as log:
        assert (await log.publish()).position.epoch != published.position.epoch


async def test_those_that_are_over_are_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread, "MAINTENANCE_S", 0.05)
    async with running(url(path)) as log:
        published = await log.publish()
        kept = about("a")
        wrong = about("over by a clock that may be wrong", for_ms=-1)
        for revocation in (kept, wrong, about("b", for_ms=-OVER_FOR_MS - 1), about("c", for_ms=-OVER_FOR_MS)):
            await log.broker.revoke(revocation)
        async with asyncio.timeout(10):
            while len(found := rows(path, "SELECT subject FROM revocations")) > 2:  # noqa: ASYNC110 - another view
                await asyncio.sleep(0.02)
        assert {subject for (subject,) in found} == {kept.subject, wrong.subject}
    async with running(url(path)) as log:
        assert await log.broker.revocations() == [kept]
        assert (await log.publish()).position.epoch == published.position.epoch, "the digest follows"


async def test_they_are_kept_in_order_with_publications(path: Path) -> None:
    """Each is a transaction of its own between those of the publishes, and nothing overtakes or is lost."""
    async with running(url(path)) as log:
        log.broker.subscribe("room:general")
        publishing = [log.start() for _ in range(200)]
        revoking = [asyncio.ensure_future(log.broker.revoke(about(f"t{n}"))) for n in range(20)]
        publishing += [log.start() for _ in range(200)]
        published = await asyncio.gather(*publishing)
        await asyncio.gather(*revoking)
        assert [one.position.offset for one in published] == list(range(1, 401))
        assert len(await log.broker.revocations()) == 20


async def test_when_nothing_can_be_written_it_is_said(path: Path) -> None:
    async with running(url(path)) as log:
        await log.publish()
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BrokerUnavailableError):
                await log.broker.revoke(about("a"))
        await log.broker.revoke(about("a"))
        assert len(await log.broker.revocations()) == 1
