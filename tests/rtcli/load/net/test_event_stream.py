"""Event streams of the load generator that are given up before they are open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from rtcli.load.net.event_stream import SseConnection, open_sse
from rtcli.load.net.source_addresses import SourceAddresses
from rtcli.load.scenario.steps import Kill
from rtcli.protocol.sse import ServerSentEvent, SSEParser
from tests.support.fakes.scripted_stream import HEAD
from tests.support.servers.watch import descriptors
from tests.support.waiting import until

REQUEST = b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n"


class Reports:
    """What is said of streams."""

    def __init__(self) -> None:
        self.ends: list[int] = []

    def on_open(self, connection: SseConnection) -> None:
        """Take note of nothing."""

    def on_event(self, event: ServerSentEvent, now: int) -> None:
        """Take note of nothing."""

    def on_closed(self, code: int, reason: str) -> None:  # noqa: ARG002 - the interface of SseReceiver
        self.ends.append(code)


@pytest.mark.parametrize(
    "answer", [HEAD, b"HTTP/1.1 204 No Content\r\n\r\n", b""], ids=["a stream", "no stream", "nothing"]
)
async def test_a_stream_that_is_given_up_at_any_moment_leaves_nothing(answer: bytes) -> None:
    """Neither a descriptor nor a report; that no exception is left is held for every test."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
        writer.transport.abort()

    reports = Reports()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sources = SourceAddresses("127.0.0.1", port, socket.AF_INET)
        before = descriptors(os.getpid())
        for turns in range(30):
            opening = asyncio.create_task(
                open_sse(reports, REQUEST, SSEParser(), sources=sources, tls=None, timeout=10)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            (opened,) = await asyncio.gather(opening, return_exceptions=True)
            if isinstance(opened, SseConnection):
                opened.kill(Kill.RST)
        await until(lambda: descriptors(os.getpid()) == before)
    assert reports.ends == []
