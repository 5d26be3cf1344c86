"""The guard over all tests: it finds tracebacks in logs, and exceptions that nobody looked at."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from tests.support import unexpected_logs
from tests.support.servers.server_process import ServerProcess

TRACEBACK = 'ERROR x: it failed\nTraceback (most recent call last):\n  File "x"\nValueError: y\nand more\n'


def test_what_is_new_in_a_log_is_found_once(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(TRACEBACK)
    unexpected_logs.watch(log)
    assert unexpected_logs.in_watched() == [], "it was there before"
    with log.open("a") as file:
        file.write("INFO x: all is well\n")
    assert unexpected_logs.in_watched() == []
    with log.open("a") as file:
        file.write(TRACEBACK)
    (found,) = unexpected_logs.in_watched()
    assert "ERROR x: it failed" in found
    assert "ValueError: y" in found
    assert unexpected_logs.in_watched() == []


@pytest.mark.logs_traceback
async def test_an_exception_left_to_the_collector_is_found() -> None:
    with unexpected_logs.collected() as found:
        asyncio.get_running_loop().create_future().set_exception(ValueError("of all things"))
        gc.collect()
    (text,) = found
    assert "of all things" in text


@pytest.mark.logs_traceback
def test_the_log_of_a_server_is_watched(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    with unexpected_logs.collected() as found:
        server.start_now()
        server.kill()
        with server.log.open("a") as file:
            file.write(TRACEBACK)
    assert len(found) == 1
