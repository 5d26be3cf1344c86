"""An application in a file, run by the command of an ASGI server that is not ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

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
