"""Cancelled at any of its awaits, a program leaves no task, no socket and no warning, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import rtcli
from tests.support.cancellation import CancelledAt, connections_to, other_tasks
from tests.support.fakes.scripted_server import fake_server
from tests.support.fakes.scripted_stream import HEAD, fake_stream, hold
from tests.support.waiting import until

Program = Callable[[str], Coroutine[Any, Any, None]]


async def talk(url: str) -> None:
    async with rtcli.connect(url, token="t", wait_s=5) as client:
        room = client.room("general")
        await client.publish("general", "one")
        assert (await anext(room)).content == "one"
        await client.reconnect()
        await client.publish("general", "two")
        assert (await anext(room)).content == "two"
        client.leave("general")
        assert [message async for message in room] == []


async def follow(url: str) -> None:
    async with rtcli.events(f"{url}/stream", wait_s=5) as stream:
        updates = stream.updates()
        assert (await anext(stream)).data == "a"
        assert (await anext(stream)).data == "b"
        assert isinstance(await anext(updates), rtcli.Opened)


async def at_every_await(program: Program, url: str) -> int:
    """Run it once for each of its awaits and cancel it there; returns how many there are."""
    turn, reached, ended = 0, True, None
    while reached:
        cancelled = CancelledAt(program(url), turn)
        (ended,) = await asyncio.gather(asyncio.ensure_future(_run(cancelled)), return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError | None), (turn, ended)
        await nothing_is_left(url)
        turn, reached = turn + 1, cancelled.reached
    assert ended is None
    return turn - 1


async def at_many_turns(program: Program, url: str, turns: range) -> None:
    """Cancel it after each number of turns of the loop: so what it waits for is elsewhere each time."""
    for turn in turns:
        running = asyncio.ensure_future(program(url))
        for _ in range(turn):
            await asyncio.sleep(0)
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError | None), (turn, ended)
        await nothing_is_left(url)


async def nothing_is_left(url: str) -> None:
    """A socket needs a turn of the loop to be closed; a task of ours is none any more at once."""
    assert [name for name in other_tasks() if "/rtcli/" in name and "/tests/" not in name] == []
    port = int(url.rpartition(":")[2])
    await until(lambda: connections_to(port) == 0, "a connection is open", timeout_s=5)


async def _run(cancelled: CancelledAt) -> None:
    await cancelled


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Any:  # noqa: ANN401 - a fixture
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def test_a_client_leaves_nothing_behind_wherever_it_is_cancelled(soak: bool) -> None:
    async with fake_server() as server:
        url = f"http://127.0.0.1:{server.port}"
        assert await at_every_await(talk, url) >= 5
        await at_many_turns(talk, url, range(0, 80, 1 if soak else 9))


async def test_a_stream_leaves_nothing_behind_wherever_it_is_cancelled(soak: bool) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"data: a\n\n")
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"data: b\n\n")
        await hold(writer)

    async with fake_stream(answer) as server:
        assert await at_every_await(follow, server.base) >= 2
        await at_many_turns(follow, server.base, range(0, 60, 1 if soak else 9))


async def test_publishing_over_http_leaves_nothing_behind_wherever_it_is_cancelled(soak: bool) -> None:
    from tests.support.servers.live_server import live_server, token  # noqa: PLC0415 - only here

    async def program(url: str) -> None:
        async with rtcli.connect(url, token=token()) as client:
            await client.publish("general", "outside")
            await client.history("general", 1)

    with live_server(rate_limit_per_s=None) as server:
        assert await at_every_await(program, server.url) >= 4
        await at_many_turns(program, server.url, range(0, 60, 1 if soak else 9))


async def test_a_cancelled_publish_is_not_sent_later() -> None:
    async with (
        fake_server() as server,
        rtcli.connect(f"http://127.0.0.1:{server.port}", token="t") as client,
    ):
        client.join("general")
        await until(lambda: client.settled)
        await server.stop()
        await until(lambda: not client.connected)
        publishing = asyncio.ensure_future(client.publish("general", "never"))
        await asyncio.sleep(0)
        publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publishing
        assert client.unconfirmed == []
        await server.start(server.port)
        await client.publish("general", "then")
        assert [data.content for data in server.log["general"]] == ["then"]


async def test_a_reader_that_is_cancelled_again_and_again_reads_everything() -> None:
    async with (
        fake_server() as server,
        rtcli.connect(f"http://127.0.0.1:{server.port}", token="t") as client,
    ):
        room, got = client.room("general"), list[str]()
        await until(lambda: client.settled)

        async def speak() -> None:
            for number in range(300):
                await server.publish("general", f"{number}")
                await asyncio.sleep(0)

        speaking = asyncio.ensure_future(speak())
        for turn in itertools.count():
            if len(got) == 300:
                break
            reading = asyncio.ensure_future(anext(room))
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                got.append((await reading).content)
        await speaking
        assert got == [f"{number}" for number in range(300)]
