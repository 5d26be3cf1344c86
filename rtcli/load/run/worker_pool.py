"""The worker processes of a run, as the coordinator sees them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeAlias

from rtcli.interpreter import module_command
from rtcli.load.core.context import WorkerSpec
from rtcli.load.run.channel import Channel, ChannelClosedError, coordinator_channel
from rtcli.load.run.messages import Close, Configure, Failed, FromWorker, Ready, ToWorker

_END_S = 10.0


class WorkerFailedError(Exception):
    """A worker could not be started, reported an error, or ended before the run did."""


class _Gone:
    """Follows the last message of a worker that has ended, in the queue of messages."""


_Received: TypeAlias = FromWorker | _Gone


class WorkerPool:
    """The worker processes of one run, numbered from 0."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[tuple[int, _Received]] = asyncio.Queue()
        self._channels: list[Channel[ToWorker, FromWorker]] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """Number of workers."""
        return len(self._channels)

    async def start(self, spec: WorkerSpec) -> None:
        """Start `spec.workers` processes and wait until all are ready. Raises WorkerFailedError."""
        for number in range(spec.workers):
            await self._start_one(replace(spec, worker=number))
        waiting = set(range(spec.workers))
        while waiting:
            number, message = await self._received.get()
            if not isinstance(message, Ready):
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
        channel = await coordinator_channel(ours)
        self._channels.append(channel)
        channel.send(Configure.of(spec))
        self._readers.append(asyncio.create_task(self._read(spec.worker, channel)))

    async def _read(self, number: int, channel: Channel[ToWorker, FromWorker]) -> None:
        with contextlib.suppress(ChannelClosedError):
            while True:
                self._received.put_nowait((number, await channel.receive()))
        self._received.put_nowait((number, _Gone()))

    async def receive(self) -> tuple[int, FromWorker]:
        """Wait for the next message of any worker; returns it behind the worker's number.

        Raises WorkerFailedError when a worker has failed, or has ended without being told to.
        """
        number, message = await self._received.get()
        if isinstance(message, _Gone):
            raise WorkerFailedError("a worker ended before its time")
        if isinstance(message, Failed):
            raise WorkerFailedError(message.error)
        return number, message

    def send_all(self, message: ToWorker) -> None:
        """Send a message to all workers."""
        for channel in self._channels:
            channel.send(message)

    def send(self, number: int, message: ToWorker) -> None:
        """Send a message to one worker."""
        self._channels[number].send(message)

    async def end(self) -> None:
        """Let every worker close its connections and end; kill those that need more than 10 s."""
        with contextlib.suppress(OSError):
            self.send_all(Close())
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
async def running_workers(spec: WorkerSpec) -> AsyncIterator[WorkerPool]:
    """Run the workers of one run for the length of the block. Raises WorkerFailedError."""
    pool = WorkerPool()
    try:
        await pool.start(spec)
        yield pool
    finally:
        await pool.end()
