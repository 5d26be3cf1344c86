"""An application on an ASGI server that is not ours: in a file and a process of its own, or in this one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import hypercorn.asyncio
import uvicorn
from hypercorn.config import Config
from starlette.applications import Starlette

from tests.support.ports import free_port
from tests.support.unexpected_logs import watch
from tests.support.waiting import wait_until

ASGI_SERVERS = ("uvicorn", "hypercorn")


@dataclass(frozen=True)
class Application:
    """Where it listens, and the file in which its output is."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text()


@contextmanager
def application(folder: Path, source: str, server: str, *options: str) -> Iterator[Application]:
    """Run `app` of a file with this source until the block ends; `server` is one of ASGI_SERVERS."""
    (folder / "main.py").write_text(source)
    running = Application(free_port(), folder / "application.log")
    where = {
        "uvicorn": ("--port", f"{running.port}"),
        "hypercorn": ("--bind", f"127.0.0.1:{running.port}"),
    }[server]
    with running.log.open("w") as log:
        watch(running.log)
        command = [sys.executable, "-m", server, "main:app", *where, *options]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            wait_until(lambda: process.poll() is not None or _is_up(running), running.output)
            assert process.poll() is None, running.output
            yield running
        finally:
            process.terminate()
            assert process.wait(30) is not None


def _is_up(running: Application) -> bool:
    try:
        return httpx.get(f"{running.url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@asynccontextmanager
async def served(app: Starlette, server: str) -> AsyncIterator[int]:
    """Serve an application of this process on the running loop; the value is the port."""
    start = {"uvicorn": _under_uvicorn, "hypercorn": _under_hypercorn}[server]
    port, over = free_port(), asyncio.Event()
    serving = asyncio.ensure_future(start(app, port, over))
    await _listening(port, serving)
    try:
        yield port
    finally:
        over.set()
        await serving


async def _under_uvicorn(app: Starlette, port: int, over: asyncio.Event) -> None:
    runner = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="on"))
    serving = asyncio.ensure_future(runner._serve(None))  # `serve` would take this process's signals
    ended = asyncio.ensure_future(over.wait())
    await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    runner.should_exit = True
    await serving


async def _under_hypercorn(app: Starlette, port: int, over: asyncio.Event) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    asgi: Any = app
    await hypercorn.asyncio.serve(asgi, config, shutdown_trigger=over.wait)


async def _listening(port: int, serving: asyncio.Future[None]) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
