"""Event streams of other servers: what is asked of them, what is named if it comes, and how they may end."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator

import pytest

from rtcli.load.audit.token import LENGTH
from rtcli.load.results.model import RunResult, Verdict
from tests.support.fakes.scripted_stream import HEAD, fake_stream
from tests.support.load.runs import run

STREAMS = """
    name: streams
    target: { protocol: sse }
    phases: [{ name: run, for: 800ms }]
    roles:
      tail: { users: 2, reconnect: never, MORE flow: [{ connect: { path: /s, rooms: [news] } }, hold] }
    audit: { delivery: none, settle: 100ms }
"""
ZIPPED = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + gzip.compress(b"data: 1\n\n")
ZIPPED_ON_THE_WAY = HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")


async def follow(url: str, more: str = "") -> RunResult:
    return await run(STREAMS.replace("MORE", more), url.removesuffix("/stream"))


def causes(result: RunResult) -> dict[str, str]:
    assert result.accounts is not None
    return {item.code: item.cause for item in result.accounts.users.shortfalls}


async def stream_that_ends(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"data: 1\n\n")
    await writer.drain()
    await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (ZIPPED, "the event stream is compressed (gzip), and `identity` was asked for"),
        (ZIPPED_ON_THE_WAY, "the transfer coding 'gzip, chunked', which was not asked for"),
    ],
)
async def test_compression_that_comes_anyway_is_named(answer: bytes, named: str) -> None:
    async with fake_stream(answer) as stream:
        result = await follow(stream.url)
    assert result.verdict is Verdict.VIOLATION
    assert causes(result) == {"bad_answer": named}


async def test_the_end_of_a_stream_has_a_name() -> None:
    async with fake_stream(stream_that_ends) as stream:
        result = await follow(stream.url)
    assert result.verdict is Verdict.VIOLATION
    assert causes(result) == {"stream_ended": "the event stream ended"}
    assert result.metrics["close{code:stream_ended}"].count == 2


CHUNKED = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("body", "abort", "name"),
    [
        (b"9\r\ndata: 1\n\n\r\n0\r\n\r\n", False, "stream_ended"),
        (b"9\r\ndata: 1\n\n\r\n", False, "stream_broken"),
        (b"9\r\ndata: 1\n\n\r\n", True, "stream_broken"),
        (b"9\r\ndata", False, "stream_broken"),
    ],
)
async def test_a_stream_that_ends_is_told_from_one_that_breaks_off(
    body: bytes, abort: bool, name: str
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + body)
        await writer.drain()
        await asyncio.sleep(0.3)
        if abort:
            writer.transport.abort()

    async with fake_stream(answer) as stream:
        result = await follow(stream.url)
        assert list(causes(result)) == [name]
        assert result.metrics[f"close{{code:{name}}}"].count == 2
        other = {"stream_ended": "stream_broken", "stream_broken": "stream_ended"}[name]
        assert (await follow(stream.url, f"expect_close: {other},")).verdict is Verdict.VIOLATION


async def test_the_end_of_a_stream_can_be_expected() -> None:
    async with fake_stream(stream_that_ends) as stream:
        result = await follow(stream.url, "expect_close: stream_ended,")
    assert result.verdict is Verdict.PASSED, result.reasons
    assert result.metrics["close{code:stream_ended}"].count == 2
    assert not any("stream_ended" in note for note in result.notes)
    assert set(stream.header("accept-encoding")) == {"identity"}


@contextlib.asynccontextmanager
async def publications() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes publications: its address, and the bodies."""
    bodies: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                bodies.append((await reader.readexactly(length)).decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", bodies


@pytest.mark.parametrize("audited", ["true", "false"])
async def test_size_counts_the_whole_text(audited: str) -> None:
    async with publications() as (url, bodies):
        await run(
            f"""
            name: sizes
            target: {{ protocol: sse, publish: {{ path: /pub, body: "${{text}}" }} }}
            phases: [{{ name: run, for: 500ms }}]
            roles:
              writer:
                users: 1
                flow: [{{ send: {{ room: a, rate: 20/s, text: hello, size: 300, audit: {audited} }} }}]
            audit: {{ settle: 100ms }}
            """,
            url,
        )
    assert bodies
    assert {len(body) for body in bodies} == {300}
    assert LENGTH < 300
