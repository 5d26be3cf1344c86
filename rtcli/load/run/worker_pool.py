"""The worker processes of a run, as the coordinator sees them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from rtcli.interpreter import module_command
from rtcli.load.core.context import WorkerSpec
from rtcli.load.core.failures import OwnFailure
from rtcli.load.run.channel import ChannelClosedError, WorkerChannel, coordinator_channel
from rtcli.load.run.messages import Close, Configure, Failed, FromWorker, Ready, ToWorker
from rtcli.load.scenario.protocols import summarize

_END_S = 10.0


class WorkerFailedError(Exception):
    """A worker could not be started. `is_bug`: by an error, not because somebody else ended it."""

    def __init__(self, text: str, *, is_bug: bool) -> None:
        super().__init__(text)
        self.is_bug = is_bug


@dataclass(frozen=True, slots=True)
class Gone:
    """Follows the last message of a worker that has ended. `status`: as in `Popen`, negative for a signal."""

    status: int

    @property
    def reason(self) -> str:
        """How it ended, for people."""
        if self.status >= 0:
            return f"ended with exit code {self.status}" if self.status else "ended before its time"
        return f"was killed (signal {-self.status}, {_signal_name(-self.status)})"

    @property
    def is_bug(self) -> bool:
        """Whether it ended because of an error, not because somebody else ended it."""
        return -self.status not in _FROM_OUTSIDE


_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGXCPU}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


Received: TypeAlias = FromWorker | Gone


class WorkerPool:
    """The worker processes of one run, numbered from 0."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[tuple[int, Received]] = asyncio.Queue()
        self._channels: list[WorkerChannel[ToWorker, FromWorker]] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._ended: set[int] = set()

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
                gone = message if isinstance(message, Gone) else None
                why = "did not start" if gone is None else gone.reason
                raise WorkerFailedError(f"worker {number + 1} {why}", is_bug=gone is None or gone.is_bug)
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
        self._readers.append(asyncio.create_task(self._read(spec.worker, channel, process)))

    async def _read(
        self, number: int, channel: WorkerChannel[ToWorker, FromWorker], process: asyncio.subprocess.Process
    ) -> None:
        try:
            while True:
                self._received.put_nowait((number, await channel.receive()))
        except ChannelClosedError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            text = f"a bug in rtcli: a message of worker {number + 1} cannot be read: {summarize(error)}"
            self._received.put_nowait((number, Failed(OwnFailure(text, worker=number))))
            self.kill(number)
        self._ended.add(number)
        self._received.put_nowait((number, Gone(await process.wait())))

    async def receive(self) -> tuple[int, Received]:
        """Wait for the next message of any worker, or for its end; returns it behind the worker's number."""
        return await self._received.get()

    def send_all(self, message: ToWorker) -> None:
        """Send a message to all workers that are left."""
        for number in range(self.count):
            self.send(number, message)

    def send(self, number: int, message: ToWorker) -> None:
        """Send a message to one worker, if it is left."""
        if number not in self._ended:
            self._channels[number].send(message)

    def kill(self, number: int) -> None:
        """Kill a worker that does not answer."""
        with contextlib.suppress(ProcessLookupError):
            self._processes[number].kill()

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
