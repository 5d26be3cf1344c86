"""Servers of other people, as they are run: a chat on `ws` under Node, and nginx with Nchan."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.support.paths import NODE
from tests.support.ports import free_port
from tests.support.processes.lifetime import DIES_WITH_US
from tests.support.servers.nginx import nginx_command

CONFIGURATION = Path(__file__).with_name("nchan.conf")
_START_S = 20.0


@contextlib.asynccontextmanager
async def ended(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """The process ends with the block."""
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def node_server(program: str) -> AsyncIterator[str]:
    """The URL of a program of tests/node, which prints its port."""
    process = await asyncio.create_subprocess_exec(
        *DIES_WITH_US, "node", str(NODE / program), stdout=asyncio.subprocess.PIPE
    )
    async with ended(process):
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), _START_S))
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def nchan(folder: Path, *, kept: int) -> AsyncIterator[str]:
    """The URL of nginx with Nchan, whose channels remember `kept` messages; it writes into `folder` alone."""
    port = free_port()
    text = CONFIGURATION.read_text()
    for name, value in (("HERE", folder), ("PORT", port), ("KEPT", kept)):
        text = text.replace(f"@{name}@", str(value))
    (folder / "nginx.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(*nginx_command(folder, "error.log"))
    async with ended(process):
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(_START_S), httpx.AsyncClient() as client:
            while not await _answers(client, f"{url}/ready"):
                assert process.returncode is None, (folder / "error.log").read_text()
                await asyncio.sleep(0.02)
        yield url


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 204
    except httpx.TransportError:
        return False
