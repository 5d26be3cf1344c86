"""More channels than the SQLite log keeps in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from rtcli_server.broker import BrokerUnavailableError, Retention
from rtcli_server.broker.sqlite import channels as sqlite_channels
from rtcli_server.broker.sqlite import file as sqlite_file
from rtcli_server.broker.sqlite.channels import ChannelNames
from rtcli_server.broker.sqlite.writer import Append, UnwritableError, Writer
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import overwrite, rows, url

CHANNELS = [f"user:u{number:02}" for number in range(20)]
EARLY = CHANNELS[2]  # its row has left the memory
IN_INDEX = EARLY.encode() + b"\3"  # the name and the id, next to each other in the index alone


@pytest.fixture(autouse=True)
def _few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_channels, "CACHED_CHANNELS", 5)


@pytest.fixture
async def log(path: Path) -> AsyncIterator[Running]:
    """One publication in each channel, and all of it in the file."""
    async with running(url(path)) as record:
        for channel in CHANNELS:
            await record.publish(channel)
        rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        yield record


async def test_a_channel_that_left_the_memory_goes_on(log: Running) -> None:
    for channel in CHANNELS:
        top = (await log.page(channel)).top
        assert (await log.publish(channel)).position == top._replace(offset=2)


@pytest.mark.parametrize("in_index", [b"user:u01\3", EARLY.encode() + b"\x09"], ids=["hidden", "another"])
@pytest.mark.parametrize("found_by", ["publish", "history"])
async def test_a_damaged_index_makes_no_channel_new(
    path: Path, log: Running, in_index: bytes, found_by: str
) -> None:
    overwrite(path, IN_INDEX, in_index)
    if found_by == "history":
        with pytest.raises(BrokerUnavailableError):
            await log.page(EARLY)
    with pytest.raises(BrokerUnavailableError, match="damaged"):
        await log.publish(EARLY)
    assert rows(path, f"SELECT count(*) FROM channels NOT INDEXED WHERE name = '{EARLY}'") == [(1,)]  # noqa: S608
    assert await log.broker.ready() is False


def test_a_channel_whose_transaction_failed_is_new(path: Path) -> None:
    writer = Writer(sqlite_file.open_file(path, "normal"), Retention(), now_ms=lambda: 1_000)
    with pytest.raises(UnwritableError):
        writer.append([Append("user:a", "e", b"{}", None, 2**70)])
    [published] = writer.append([Append("user:a", "e", b"{}", None, 1_000)])
    assert published.position.offset == 1
    writer.close()


def test_names_are_those_of_the_latest_commit() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE channels (name TEXT UNIQUE)")
        connection.executemany("INSERT INTO channels VALUES (?)", [("a",), ("b",)])
        names = ChannelNames(connection)
    names.add("c")
    names.remove(["a"])
    assert [name in names for name in "abc"] == [False, True, False]
    names.rolled_back()
    assert [name in names for name in "abc"] == [True, True, False]
    names.add("c")
    names.remove(["a"])
    names.committed()
    assert [name in names for name in "abc"] == [False, True, True]
    assert len(names) == 2
