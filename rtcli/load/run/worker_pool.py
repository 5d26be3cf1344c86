"""The worker processes, seen from the main process: started, told what to do, heard, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from rtcli.interpreter import module_command
from rtcli.load.core.context import WorkerSpec
from rtcli.load.run.channel import Channel, ChannelClosedError

_END_S = 10.0


class WorkerFailedError(Exception):
    """A worker ended before its time, or could not be started."""


class Workers:
    """All workers of a run. What they send arrives in `inbox` as (worker, message)."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._channels: list[Channel] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """How many."""
        return len(self._channels)

    async def start(self, spec: WorkerSpec) -> None:
        """Start `spec.workers` processes and wait until they are ready."""
        for number in range(spec.workers):
            await self._start_one(replace(spec, worker=number))
        waiting = set(range(spec.workers))
        while waiting:
            number, message = await self.inbox.get()
            if message != "ready":
                raise WorkerFailedError("a worker did not start")
            waiting.discard(number)

    async def _start_one(self, spec: WorkerSpec) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *module_command("rtcli.load.run.worker_process", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        self._processes.append(process)
        channel = await Channel.open(ours)
        self._channels.append(channel)
        channel.post(spec)
        self._readers.append(asyncio.create_task(self._read(spec.worker, channel)))

    async def _read(self, number: int, channel: Channel) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                self.inbox.put_nowait((number, await channel.receive()))
        self.inbox.put_nowait((number, "gone"))

    def tell(self, order: Any) -> None:  # noqa: ANN401 - see worker_process
        """Tell all workers."""
        for channel in self._channels:
            channel.post(order)

    def tell_one(self, number: int, order: Any) -> None:  # noqa: ANN401 - see worker_process
        """Tell one worker."""
        self._channels[number].post(order)

    async def end(self) -> None:
        """Let every worker close its connections and end; what does not in some seconds is killed."""
        with contextlib.suppress(OSError):
            self.tell("close")
        ended = asyncio.gather(*(process.wait() for process in self._processes))
        try:
            await asyncio.wait_for(ended, _END_S)
        except TimeoutError:
            for process in self._processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await asyncio.gather(*(process.wait() for process in self._processes))
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for channel in self._channels:
            channel.close()


@contextlib.asynccontextmanager
async def running_workers(spec: WorkerSpec) -> AsyncIterator[Workers]:
    """Workers for one run, ended with the block."""
    workers = Workers()
    try:
        await workers.start(spec)
        yield workers
    finally:
        await workers.end()
