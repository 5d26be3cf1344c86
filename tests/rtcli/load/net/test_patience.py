"""Timeouts that do not count the time in which the load generator itself stands still."""

from __future__ import annotations

import asyncio
import time

import pytest

from rtcli.load.net.patience import patient_timeout


async def test_a_timeout_runs_out() -> None:
    with pytest.raises(TimeoutError):
        async with patient_timeout(0.01):
            await asyncio.Event().wait()


async def test_what_is_in_time_is_not_cut_off() -> None:
    async with patient_timeout(5):
        await asyncio.sleep(0)


async def test_an_answer_that_came_while_the_loop_stood_still_counts() -> None:
    """The deadline passes during the stall, and its timer is called before the answer is read."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"answer")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with patient_timeout(0.1):
            time.sleep(0.3)  # noqa: ASYNC251 - the loop stands still
            assert await reader.read() == b"answer"
        writer.close()


async def test_it_runs_out_after_the_stall_when_no_answer_comes() -> None:
    async def stand_still() -> None:
        async with patient_timeout(0.05):
            time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await stand_still()
