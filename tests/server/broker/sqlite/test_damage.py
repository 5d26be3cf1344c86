"""Files damaged at random, while no process uses them and while one does.

Whatever was done: every acknowledged publication is there, or clients are told of a new epoch, or the log is
unavailable and says so. A position never means another publication than before.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.broker.sqlite import verification
from tests.support.brokers.damaged_log import KEEP_ALL, Witness, damage
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import copied, overwrite, rows, url, wal_of

log_of_tests = logging.getLogger(__name__)
WAYS, SOAK_WAYS = 14, 200
NORMAL = "?synchronous=normal"  # nothing here cuts the power


@pytest.fixture
def ways(soak: bool) -> range:
    """The seeds: the same ones every day, further ones with `--soak`."""
    return range(SOAK_WAYS if soak else WAYS)


def places(directory: Path, seeds: Iterable[int]) -> Iterator[tuple[int, random.Random, Path]]:
    """Each seed, its random numbers, and a place of its own, which is gone when the next one begins."""
    for seed in seeds:
        home = directory / str(seed)
        home.mkdir()
        yield seed, random.Random(seed), home
        shutil.rmtree(home)


async def lived(path: Path, rng: random.Random, witness: Witness) -> None:
    """Let earlier processes have used the log."""
    for _ in range(rng.randrange(3)):
        async with running(url(path, NORMAL), KEEP_ALL) as log:
            await witness.publish(log, rng, rng.randrange(1, 30))


async def publish(log: Running, path: Path, rng: random.Random, witness: Witness) -> None:
    """Publish, with checkpoints in between, so that file and -wal are at any stage."""
    for _ in range(rng.randrange(1, 4)):
        await witness.publish(log, rng, rng.randrange(1, 30))
        if rng.random() < 0.4:
            rows(path, f"PRAGMA wal_checkpoint({rng.choice(('PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'))})")
    await witness.publish(log, rng, rng.randrange(1, 5))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("checked", ["everything", "no row before it is read"])
async def test_damage_while_no_process_uses_the_log(
    tmp_path: Path,
    ways: range,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    checked: str,
) -> None:
    if checked != "everything":
        monkeypatch.setattr(verification, "CHECKED_BYTES", 0)
    outcomes: Counter[str] = Counter()
    for seed, rng, home in places(tmp_path, ways):
        witness = Witness(caplog)
        await lived(home / "rt.db", rng, witness)
        async with running(url(home / "rt.db", NORMAL), KEEP_ALL) as log:
            await publish(log, home / "rt.db", rng, witness)
            left = copied(home / "rt.db", home / "left", "-wal", "-lock")
        what = damage(rng, left)
        outcome = await witness.reopen(left)
        log_of_tests.info("seed %d: %s: %s", seed, what, outcome)
        assert outcome != "unavailable" or checked != "everything"
        outcomes[outcome] += 1
    record_property("outcomes", dict(outcomes))
    log_of_tests.info("%s", outcomes)
    assert outcomes["told"]
    assert outcomes["refused"]


@pytest.mark.timeout(1800)
async def test_damage_while_a_process_uses_the_log(
    tmp_path: Path,
    ways: range,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    outcomes: Counter[str] = Counter()
    for seed, rng, home in places(tmp_path, ways):
        path, witness = home / "rt.db", Witness(caplog)
        await lived(path, rng, witness)
        caplog.clear()
        async with running(url(path, NORMAL), KEEP_ALL) as log:
            await publish(log, path, rng, witness)
            what = damage(rng, path)
            before = await witness.look(log)
            if before == "whole":
                before = await witness.look(log)
            left = copied(path, home / "left", "-wal", "-lock")
        killed, closed = await witness.fork().reopen(left), await witness.reopen(path)
        log_of_tests.info("seed %d: %s: %s, %s, %s", seed, what, before, killed, closed)
        assert before in {"whole", "unavailable"}
        outcomes[f"running {before}"] += 1
        outcomes[f"killed {killed}"] += 1
        outcomes[f"closed {closed}"] += 1
    record_property("outcomes", dict(outcomes))
    log_of_tests.info("%s", outcomes)
    assert outcomes["running unavailable"]


async def test_a_kill_without_damage_keeps_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ways: range
) -> None:
    for _, rng, home in places(tmp_path, ways[: len(ways) // 4]):
        witness = Witness(caplog)
        await lived(home / "rt.db", rng, witness)
        async with running(url(home / "rt.db", NORMAL), KEEP_ALL) as log:
            for turn in range(3):
                await witness.publish(log, rng, rng.randrange(1, 300))
                left = copied(home / "rt.db", home / f"left{turn}", "-wal", "-lock")
                assert await witness.fork().reopen(left) == "whole"


async def test_files_from_different_times_begin_anew(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng, witness = random.Random(1), Witness(caplog)
    async with running(url(path, NORMAL), KEEP_ALL) as log:
        await publish(log, path, rng, witness)
        early = copied(path, tmp_path / "early", "-wal", "-lock", "-shm")
        await witness.publish(log, rng, 400)  # past a checkpoint, so that the -wal begins again
        late = copied(path, tmp_path / "late", "-wal", "-lock", "-shm")
    for number, (file, wal) in enumerate([(early, late), (late, early), (early, early)]):
        mixed = copied(late, tmp_path / f"mixed{number}", "-lock")
        shutil.copy(file, mixed)
        shutil.copy(wal_of(wal), wal_of(mixed))
        assert await witness.reopen(mixed) in {"told", "refused"}
    without = copied(late, tmp_path / "without", "-lock")
    assert await witness.reopen(without) in {"told", "refused"}


@pytest.mark.parametrize("content", [b"", b"\xff" * 40_000, b"\0" * 32_768])
async def test_a_damaged_index_of_the_write_ahead_log_is_made_anew(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    rng, witness = random.Random(1), Witness(caplog)
    async with running(url(path, NORMAL), KEEP_ALL) as log:
        await publish(log, path, rng, witness)
        left = copied(path, tmp_path / "left", "-wal", "-lock")
    await asyncio.to_thread(left.with_name("rt.db-shm").write_bytes, content)
    assert await witness.reopen(left) == "whole"


async def test_a_page_that_is_damaged_ends_acknowledgements_when_it_is_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(url(path)) as log:
        position = [await log.publish() for _ in range(20)][-1].position
        rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
        overwrite(path, b'"content":"7 ', b'"content":"8 ')
        with pytest.raises(BrokerUnavailableError, match="publication 7 of channel 1"):
            await log.page()
        assert await log.broker.ready() is False
        with pytest.raises(BrokerUnavailableError, match="damaged"):
            await log.publish()
        newer = await log.page(since=position._replace(offset=10))
        assert len(newer.publications) == 10  # what is whole can be read
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "the log is damaged" in line
