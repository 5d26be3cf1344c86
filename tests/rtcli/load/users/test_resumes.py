"""What event streams are held to after a loss: as much as the server could know."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from rtcli.load.results.model import RunResult, Verdict
from tests.support.load.runs import run

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
STREAMS = """
    name: resumes
    seed: 4
    target: { protocol: sse, publish: { path: /pub, body: "${text}" } }
    phases: [{ name: gather, for: 300ms, publish: stop }, { name: run, for: 1500ms }]
    roles:
      reader:
        users: 3
        flow:
          - connect: { path: /sub, rooms: [news] }
          - BEFORE
          - kill: rst
          - backoff: 300ms
          - resume
          - hold
      writer: { users: 1, flow: [{ send: { room: news, rate: 30/s } }] }
    audit: { settle: 500ms }
"""
LATE = "expect: { contains: '~rt', within: 5s }"


class Hub:
    """An event stream server. `ids`: events have one; `replays`: it takes `Last-Event-ID`."""

    def __init__(self, *, ids: bool, replays: bool, ends_after: int = 0) -> None:
        self._ends_after = ends_after  # events after which all streams end, once
        self.ids = ids
        self.replays = replays
        self.url = ""
        self.asked: list[str | None] = []  # `Last-Event-ID` of each stream
        self._events: list[bytes] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            if lines[0].startswith("POST"):
                self._publish(await reader.readexactly(int(fields["content-length"])))
                writer.write(_DONE)
                await writer.drain()
            else:
                await self._stream(fields.get("last-event-id"), reader, writer)
        writer.close()

    def _publish(self, body: bytes) -> None:
        name = b"id: %d\n" % (len(self._events) + 1) if self.ids else b""
        self._events.append(name + b"data: %b\n\n" % body)
        for writer in self._open:
            writer.write(self._events[-1])
        if len(self._events) == self._ends_after:
            for writer in self._open:
                writer.close()

    async def _stream(
        self, last: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.asked.append(last)
        writer.write(_HEAD)
        if last is not None and self.replays:
            writer.write(b"".join(self._events[int(last) :]))
        self._open.add(writer)
        try:
            await reader.read()
        finally:
            self._open.discard(writer)


@contextlib.asynccontextmanager
async def hub(*, ids: bool, replays: bool, ends_after: int = 0) -> AsyncIterator[Hub]:
    found = Hub(ids=ids, replays=replays, ends_after=ends_after)
    server = await asyncio.start_server(found.handle, "127.0.0.1", 0)
    async with server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found


def kinds(result: RunResult) -> set[str]:
    assert result.audit is not None
    return {it.kind for it in result.audit.violations}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stream_without_ids_cannot_resume(workers: int) -> None:
    async with hub(ids=False, replays=False) as server:
        result = await run(STREAMS.replace("BEFORE", LATE), server.url, workers=workers)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert server.asked == [None] * 6
    assert result.audit is not None
    counts = result.audit.counts
    assert 0 < counts["delivered"] == counts["expected"] < 3 * counts["sent"]
    assert not counts["gap_declared"]


async def test_a_stream_that_was_lost_before_its_first_event_cannot_resume() -> None:
    async with hub(ids=True, replays=True) as server:
        early = STREAMS.replace("BEFORE", "hold: 100ms").replace("gather, for: 300ms", "gather, for: 200ms")
        result = await run(early, server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert server.asked == [None] * 6
    assert result.audit is not None
    assert result.audit.counts["delivered"] == result.audit.counts["expected"] > 0


async def test_a_stream_with_ids_that_replays_loses_nothing() -> None:
    async with hub(ids=True, replays=True) as server:
        result = await run(STREAMS.replace("BEFORE", LATE), server.url)
    assert result.verdict is Verdict.PASSED, result.reasons
    assert None not in server.asked[3:]
    assert result.audit is not None
    counts = result.audit.counts
    assert counts["delivered"] == counts["expected"] == 3 * counts["sent"]


async def test_ids_without_replay_are_held_against_the_server() -> None:
    async with hub(ids=True, replays=False) as server:
        result = await run(STREAMS.replace("BEFORE", LATE), server.url)
    assert result.verdict is Verdict.VIOLATION
    assert "resume_gap" in kinds(result)
    assert kinds(result) <= {"resume_gap", "lost"}  # without positions, the two are not always told apart


async def test_what_a_server_that_ends_streams_without_ids_did_not_bring_is_missed() -> None:
    cut = STREAMS.index("          - BEFORE"), STREAMS.index("          - hold")
    steady = STREAMS[: cut[0]] + STREAMS[cut[1] :].replace(
        "hold", "hold\n        reconnect: exp(300ms..300ms)"
    )
    async with hub(ids=False, replays=False, ends_after=10) as server:
        result = await run(steady, server.url)
    assert result.verdict is Verdict.VIOLATION
    assert result.metrics["missed"].count > 0
    assert "resume_gap" not in kinds(result)
    assert "lost" not in kinds(result)
