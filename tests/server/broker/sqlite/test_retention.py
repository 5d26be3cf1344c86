"""What the SQLite log removes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rtcli_server.broker import Retention
from rtcli_server.broker.sqlite import channels as sqlite_channels
from rtcli_server.broker.sqlite import file as sqlite_file
from rtcli_server.broker.sqlite import keys as sqlite_keys
from rtcli_server.broker.sqlite import retention as sqlite_retention
from rtcli_server.broker.sqlite.writer import Append, Writer
from tests.support.brokers.running import offsets, running
from tests.support.brokers.sqlite_files import rows, url


async def test_rows_over_the_budgets_leave_the_file(path: Path) -> None:
    async with running(url(path), Retention(max_count=100)) as log:
        for _ in range(10):
            await asyncio.gather(*[log.start() for _ in range(200)])
        assert offsets((await log.page()).publications) == list(range(1901, 2001))
        [(kept,)] = rows(path, "SELECT count(*) FROM publications")
        assert isinstance(kept, int)
        assert 100 <= kept <= 120


async def test_space_over_all_channels_is_bounded_and_the_oldest_go_first(path: Path) -> None:
    async with running(url(path), Retention(max_total_bytes=100_000)) as log:
        for turn in range(30):
            await asyncio.gather(*[log.start(f"room:{turn}", padding=900) for _ in range(20)])
            [(size, claimed)] = rows(
                path,
                "SELECT (SELECT sum(length(data) + 100) FROM publications), sum(bytes) FROM channels",
            )
            assert size == claimed
            assert isinstance(size, int)
            assert size <= 100_000
        assert (await log.page("room:0")).publications == []
        assert (await log.page("room:0")).top.offset == 20
        assert offsets((await log.page("room:29")).publications) == list(range(1, 21))
        assert (await log.publish("room:0")).position.offset == 21


async def test_keys_in_the_file_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_keys, "STEP_ROWS", 10)
    async with running(url(path), Retention(max_keys=50)) as log:
        for turn in range(20):
            await asyncio.gather(*[log.start(key=f"{turn}:{number}") for number in range(20)])
        [(kept,)] = rows(path, "SELECT count(*) FROM keys")
        assert isinstance(kept, int)
        assert 50 <= kept <= 70
    async with running(url(path), Retention(max_keys=50)) as log:
        assert (await log.publish(key="19:19")).duplicate
        assert not (await log.publish(key="0:0")).duplicate


def writer_at(path: Path, now_ms: int, retention: Retention) -> Writer:
    return Writer(sqlite_file.open_file(path, "normal"), retention, now_ms=lambda: now_ms)


def test_maintenance_removes_old_rows_and_keys_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_retention, "STEP_ROWS", 10)
    monkeypatch.setattr(sqlite_keys, "STEP_ROWS", 10)
    writer = writer_at(path, 1_000_000, Retention(max_age_s=100, idempotency_s=100))
    writer.append([Append(f"room:{n % 3}", "e", b"{}", f"k{n}", 900_000 - (n < 25)) for n in range(40)])
    assert [writer.maintain() for _ in range(3)] == [True, True, False]
    assert rows(path, "SELECT count(*), min(id) FROM publications") == [(15, 26)]
    assert rows(path, "SELECT count(*), min(id) FROM keys") == [(15, 26)]
    writer.close()


def test_forgotten_channels_come_back_with_another_epoch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_channels, "MAX_CHANNELS", 20)
    writer = writer_at(path, 1_000_000, Retention(max_age_s=100))
    first = writer.append([Append(f"room:{n}", "e", b"{}", None, 1_000 + n) for n in range(30)])
    writer.maintain()
    assert rows(path, "SELECT count(*), min(name) FROM channels") == [(28, "room:10")]
    [again, kept] = writer.append([Append(f"room:{n}", "e", b"{}", None, 1_000_000) for n in (0, 10)])
    assert again.position.offset == 1
    assert again.position.epoch != first[0].position.epoch
    assert kept.position == first[10].position._replace(offset=2)
    writer.close()
