"""The log in a SQLite file: one process, one writer thread, group commit.

Theory of operation. `publish` queues its append for the writer thread, which takes everything that arrived
while its last commit ran, writes it as one transaction, and hands the outcome back to the event loop. The
loop delivers and resolves the futures in the order of the log. So nothing is delivered or acknowledged
before it is committed, and all publishes that wait share the cost of a commit. Reads have a thread and a
connection of their own and last for one page, so that they never block the writer or a checkpoint.

An acknowledged publication always survives the death of the process; with `synchronous=full` (the default) it
also survives a loss of power.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker.base import (
    BrokerUnavailableError,
    Deliver,
    HistoryPage,
    Published,
    ReportLost,
    Retention,
    UserWatcher,
    refuse,
)
from rtcli_server.broker.coordinator import OnNotification
from rtcli_server.broker.foreign import ForeignContent
from rtcli_server.broker.one_process import OneProcessBroker
from rtcli_server.broker.sqlite.file import StoreFile
from rtcli_server.broker.sqlite.reader import Reader
from rtcli_server.broker.sqlite.thread import Job, Outcome, WriterThread
from rtcli_server.broker.sqlite.writer import Append, Writer
from rtcli_server.broker.top_reads import TopOutcome, TopReads
from rtcli_server.timing.supervision import OnEnd, Supervised, Supervisor

WRITER = Supervised("the writer thread of the SQLite log", OnEnd.EXIT)

# Publishes that may wait for their commit; further ones are refused.
MAX_OUTSTANDING = 10_000
MAX_OUTSTANDING_BYTES = 64 * 1024 * 1024


class SqliteBroker(OneProcessBroker):
    """The log of one process in one file."""

    def __init__(
        self,
        file: StoreFile,
        retention: Retention,
        *,
        now_ms: Callable[[], int],
        supervisor: Supervisor,
        foreign: ForeignContent,
    ) -> None:
        super().__init__()
        self._file = file
        self._supervisor = supervisor
        writer = Writer(file, retention, now_ms=now_ms)
        self._thread = WriterThread(writer, partial(self._post, self._settle), self._writer_ended)
        self._reader = Reader(file, retention, foreign, stored_top=writer.stored_top, now_ms=now_ms)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="log-reader")
        self._top_reads = TopReads(self._read_tops)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[Published]] = deque()  # in the order of the queue
        self._waiting_bytes = 0
        self._jobs: set[asyncio.Future[None]] = set()
        self._closing = False

    @override
    def publish(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None = None,
        time_ms: int,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        """Queue the publication for the next commit."""
        loop = self._loop or self._start()
        future: asyncio.Future[Published] = loop.create_future()
        if self._closing:
            refuse(future, "the log is closed")
        elif len(self._waiting) >= MAX_OUTSTANDING or self._waiting_bytes > MAX_OUTSTANDING_BYTES:
            refuse(future, "the log cannot keep up")
        else:
            append = Append(channel, event, data, key, time_ms, exclude)
            self._waiting.append(future)
            self._waiting_bytes += append.content_bytes
            self._thread.put(append)
        return future

    def _start(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self._loop

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call on the loop's thread, from the writer's thread."""
        assert self._loop is not None  # noqa: S101 - the thread was started by `_start`
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            if not self._loop.is_closed():  # a loop that is closed has nobody left to tell
                raise

    def _settle(self, batch: list[Append], outcomes: Sequence[Outcome]) -> None:
        """Deliver a committed batch, in order, and tell each publisher the outcome."""
        for append, outcome in zip(batch, outcomes, strict=True):
            future = self._waiting.popleft()
            self._waiting_bytes -= append.content_bytes
            if isinstance(outcome, BrokerUnavailableError):
                refuse(future, outcome)
                continue
            if not outcome.duplicate:
                self._deliver_committed(append, outcome.position)
            if not future.done():
                future.set_result(outcome)

    def _deliver_committed(self, append: Append, position: Position) -> None:
        if self._deliver is not None and append.channel in self._subscribed:
            channel, event, data, _, time_ms, exclude = append
            self._deliver(Publication(channel, *position, event, data, time_ms, exclude))
        self._tell_watcher(append.channel)

    @override
    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        loop = self._loop or self._start()
        if self._closing:
            raise BrokerUnavailableError("the log is closed")
        if limit <= 0:
            return HistoryPage([], await self._top_reads.top(channel))
        return await loop.run_in_executor(self._read_thread, self._reader.page, channel, since, limit)

    def _read_tops(self, channels: Sequence[str]) -> asyncio.Future[list[TopOutcome]]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._read_thread, self._reader.tops, channels)

    @override
    async def revoke(self, revocation: Revocation) -> None:
        loop = self._loop or self._start()
        if self._closing:
            raise BrokerUnavailableError("the log is closed")
        done: asyncio.Future[None] = loop.create_future()
        self._jobs.add(done)
        self._thread.put(Job(lambda writer: writer.revoke(revocation), partial(self._post, _finish, done)))
        try:
            await done
        finally:
            self._jobs.discard(done)

    @override
    async def revocations(self) -> list[Revocation]:
        loop = self._loop or self._start()
        if self._closing:
            raise BrokerUnavailableError("the log is closed")
        return await loop.run_in_executor(self._read_thread, self._reader.revocations)

    @override
    async def run(
        self,
        deliver: Deliver,
        lost: ReportLost | None = None,
        on_notification: OnNotification | None = None,
        users: UserWatcher | None = None,
    ) -> None:
        self._loop or self._start()
        await super().run(deliver, lost, on_notification, users)

    @override
    async def ready(self) -> bool:
        """Whether the log is open and undamaged, and its latest transaction succeeded."""
        return not self._closing and self._file.damage is None and not self._thread.failing

    @override
    async def close(self) -> None:
        """Commit what is queued, then close and unlock the file."""
        self._loop or self._start()
        if not self._closing:
            self._closing = True
            # The writer's connection is closed last: that folds the write-ahead log into the file.
            self._close_reader().add_done_callback(lambda _: self._thread.stop())
        await self._closed.wait()

    def _close_reader(self) -> Future[None]:
        closed = self._read_thread.submit(self._reader.close)
        self._read_thread.shutdown(wait=False)
        return closed

    def _writer_ended(self, cause: BaseException | None) -> None:
        self._file.unlock()
        self._post(self._on_writer_ended, cause)

    def _on_writer_ended(self, cause: BaseException | None) -> None:
        """Refuse what waits and what comes: nothing is written any more."""
        if not self._closing:
            self._closing = True
            self._close_reader()
        while self._waiting:  # the thread has died, perhaps after a commit
            refuse(self._waiting.popleft(), BrokerUnavailableError("the log is closed", maybe_published=True))
        while self._jobs:
            refuse(self._jobs.pop(), "the log is closed")
        if cause is not None:
            self._supervisor.ended(WRITER, cause)
        self._closed.set()


def _finish(done: asyncio.Future[None], error: BrokerUnavailableError | None) -> None:
    """Tell who waits for a job how it ended."""
    if error is not None:
        refuse(done, error)
    elif not done.done():
        done.set_result(None)
