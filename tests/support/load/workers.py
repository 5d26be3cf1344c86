"""The worker processes of a run in a test, and what is done to them meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import psutil


@contextlib.asynccontextmanager
async def background(coroutine: object) -> AsyncIterator[None]:
    """Run a coroutine beside the block."""
    task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def worker_processes() -> list[int]:
    """The worker processes of this process, in the order of their numbers."""
    workers = [
        child for child in psutil.Process().children() if "rtcli.load.run.worker_process" in child.cmdline()
    ]
    return [worker.pid for worker in sorted(workers, key=lambda worker: (worker.create_time(), worker.pid))]


async def stop_and_go(*, first: int = 0, go: float = 0.2, stop: float = 0.3) -> None:
    """Stop the workers from number `first` on for 300 ms, again and again."""
    while True:
        await asyncio.sleep(go)
        workers = worker_processes()[first:]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(stop)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
