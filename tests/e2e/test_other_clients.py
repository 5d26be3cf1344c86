"""Clients that others wrote follow our stream: curl, httpx-sse, and Node's `eventsource` package."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from rtcli.protocol.tokens import create_token
from tests.support.checker import Receiver
from tests.support.faults.crowd import ROOM, Crowd, deployment
from tests.support.paths import NODE
from tests.support.servers.server_process import SECRET, ServerProcess
from tests.support.waiting import until

pytestmark = pytest.mark.system

STREAM = f"/api/v1/events/stream?room={ROOM}"


def token() -> str:
    return create_token(SECRET, sub="other", now=time.time())


class Follower:
    """A process that prints what it follows, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.lines.append(line.decode().rstrip("\n"))


@contextlib.asynccontextmanager
async def following(*command: str) -> AsyncIterator[Follower]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    follower = Follower()
    reader = asyncio.create_task(follower.read(process.stdout))
    try:
        yield follower
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reader


async def reference(crowd: Crowd) -> Receiver:
    receiver = crowd.tail_over_websocket("reference")
    await until(lambda: receiver.start.offset >= 0, why="the reference is not in the room")
    return receiver


async def restart(server: ServerProcess) -> None:
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await server.start()


@pytest.mark.timeout(120)
async def test_nodes_eventsource_resumes_by_itself_through_a_kill(tmp_path: Path) -> None:
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=2) as (server, crowd):
        command = ("node", str(NODE / "follow.mjs"), server.url + STREAM, token())
        async with following(*command) as node:
            await until(lambda: node.lines == ["READY"], why="node is not following")
            receiver = await reference(crowd)
            publishers = [crowd.publisher("writer")]
            await until(lambda: len(node.lines) > 20, why="node gets nothing")
            await restart(server)
            await until(lambda: node.lines.count("READY") == 2, why="node does not come back")
            await crowd.rest(publishers)
            assert crowd.check().violations == []
            expected = [content for content, _ in receiver.events]
            await until(lambda: len(node.lines) >= len(expected) + 2, why="node is behind")
            assert [line for line in node.lines if line != "READY"] == expected


@pytest.mark.timeout(120)
async def test_curl_resumes_with_the_last_id_that_it_printed(tmp_path: Path) -> None:
    async with deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=3) as (server, crowd):
        curl = ("curl", "-sN", "-H", f"Authorization: Bearer {token()}", server.url + STREAM)
        async with following(*curl) as first:
            await until(lambda: "event: ready" in first.lines, why="curl is not following")
            receiver = await reference(crowd)
            publishers = [crowd.publisher("writer")]
            await until(lambda: first.lines.count("event: new_message") > 10, why="curl gets nothing")
            await restart(server)
        last = [line for line in first.lines if line.startswith("id: ")][-1].removeprefix("id: ")
        async with following(*curl, "-H", f"Last-Event-ID: {last}") as second:
            await crowd.rest(publishers)
            expected = [content for content, _ in receiver.events]
            got = _contents(first.lines)
            await until(
                lambda: len(got) + len(_contents(second.lines)) >= len(expected), why="curl is behind"
            )
            assert got + _contents(second.lines) == expected


def _contents(lines: list[str]) -> list[str]:
    """The messages of complete events: curl may be cut in the middle of one."""
    complete = lines[: len(lines) - lines[::-1].index("")] if "" in lines else []
    data = [json.loads(line.removeprefix("data: ")) for line in complete if line.startswith("data: ")]
    return [fields["content"] for fields in data if "content" in fields]


@pytest.mark.timeout(120)
async def test_httpx_sse_follows_and_resumes(tmp_path: Path) -> None:
    async with (
        deployment(tmp_path, f"sqlite:{tmp_path / 'rt.db'}", seed=4) as (server, crowd),
        httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {token()}"}) as http,
    ):
        got: list[str] = []
        last = ""

        async def follow(until_count: int) -> None:
            nonlocal last
            resume = {"Last-Event-ID": last} if last else {}
            with contextlib.suppress(httpx.TransportError):
                async with aconnect_sse(http, "GET", STREAM, headers=resume) as source:
                    async for event in source.aiter_sse():
                        last = event.id
                        if event.event == "new_message":
                            got.append(event.json()["content"])
                            if len(got) == until_count:
                                return

        first = asyncio.create_task(follow(10_000))
        await until(lambda: bool(last), why="httpx-sse is not following")
        receiver = await reference(crowd)
        publishers = [crowd.publisher("writer")]
        await until(lambda: len(got) > 10, why="httpx-sse gets nothing")
        await restart(server)
        await first
        await crowd.rest(publishers)
        await follow(len(receiver.events))
        assert got == [content for content, _ in receiver.events]
