"""What is noticed when the thread that writes the SQLite log fails, or ends."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NoReturn

import pytest

from rtcli_server.broker import BrokerUnavailableError, open_broker
from rtcli_server.broker.sqlite import thread as sqlite_thread
from rtcli_server.broker.sqlite.writer import Writer
from rtcli_server.timing.supervision import Supervisor
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import url


def fail(*_: object) -> NoReturn:
    """Be a bug."""
    raise KeyError("a bug")


async def test_a_thread_that_ends_is_noticed_by_everybody(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor()
    broker = open_broker(url(path), supervisor=supervisor)
    work = asyncio.create_task(broker.run(lambda _: None))
    log = Running(broker)
    await log.publish()
    monkeypatch.setattr(broker._thread, "_report", fail)  # type: ignore[attr-defined]
    answers = await asyncio.gather(*[log.start() for _ in range(3)], return_exceptions=True)
    assert all(isinstance(answer, BrokerUnavailableError) for answer in answers)
    assert await broker.ready() is False
    with pytest.raises(BrokerUnavailableError):
        await log.publish()
    await asyncio.wait_for(supervisor.wait_for_exit(), 10)
    assert "writer thread" in supervisor.exit_cause
    assert "a bug" in supervisor.exit_cause
    await work
    await broker.close()
    async with running(url(path)) as log:  # it closed the file and let go of it
        await log.publish()


async def test_a_bug_in_one_batch_refuses_it_and_does_not_end_the_thread(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_thread, "RETRY_S", 3600.0)
    async with running(url(path)) as log:
        first = await log.publish()
        with monkeypatch.context() as patched:
            patched.setattr(Writer, "_write", fail)
            for _ in range(2):
                with pytest.raises(BrokerUnavailableError, match="a bug"):
                    await log.publish()
        assert await log.broker.ready() is False
        assert (await log.publish()).position == first.position._replace(offset=2)
        assert await log.broker.ready()
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info is not None for record in failures] == [True]  # one line, with its cause
    async with running(url(path)) as log:
        assert (await log.page()).top == first.position._replace(offset=2)
