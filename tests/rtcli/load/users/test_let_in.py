"""Protocols that neither greet nor confirm: who is thrown out at once was never let in, expected or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.scripted_stream import HEAD, fake_stream
from tests.support.load.runs import run

CHAT = """
    name: quiet
    target:
      protocol: json
      frames:
        join: { do: enter, room: "${room}" }
        send: { do: say, room: "${room}", text: "${text}" }
        data: { match: { event: said }, room: room, text: text }
    phases: [{ name: run, for: RUN }]
    audit: { settle: 100ms }
    roles:
      reader: { users: 2, reconnect: 50ms, expect_close: 4001, flow: [connect, { join: a }, hold] }
"""
STREAM = """
    name: quiet
    target: { protocol: sse }
    phases: [{ name: run, for: 600ms }]
    audit: { settle: 100ms }
    roles:
      tail:
        users: 2
        reconnect: 50ms
        expect_close: stream_ended
        flow: [{ connect: { path: /s, rooms: [news] } }, hold]
"""


@asynccontextmanager
async def closing(after_s: float, first: str = "") -> AsyncIterator[str]:
    """A server that says `first`, if anything, and closes every session with 4001."""

    async def handle(connection: ServerConnection) -> None:
        if first:
            await connection.send(first)
        await asyncio.sleep(after_s)
        await connection.close(4001)

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def causes(result: RunResult) -> set[str]:
    assert result.accounts is not None
    return {item.code for item in result.accounts.users.shortfalls if not item.allowed}


async def test_sessions_that_are_closed_at_once_are_absences() -> None:
    async with closing(0.0) as url:
        result = await run(CHAT.replace("RUN", "600ms"), url)
    assert result.verdict is Verdict.VIOLATION
    assert causes(result) == {"close_4001"}


@pytest.mark.parametrize(
    ("after_s", "first", "length"), [(0.2, '{"event": "news"}', "600ms"), (1.2, "", "2s")]
)
async def test_who_was_served_or_stayed_was_let_in(after_s: float, first: str, length: str) -> None:
    async with closing(after_s, first) as url:
        result = await run(CHAT.replace("RUN", length), url)
    assert result.verdict is Verdict.PASSED, result.reasons


async def test_streams_that_end_at_once_are_absences() -> None:
    async with fake_stream(HEAD) as stream:
        result = await run(STREAM, stream.url.removesuffix("/stream"))
    assert result.verdict is Verdict.VIOLATION
    assert causes(result) == {"stream_ended"}
