"""The writer thread of the SQLite log: takes what is queued, commits it, reports to the event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple

from rtcli_server.broker.base import BrokerUnavailableError, Published
from rtcli_server.broker.sqlite.writer import Append, DamagedLogError, UnwritableError, Writer

MAX_BATCH = 1_000  # publishes per transaction, which one turn of the loop then delivers
MAINTENANCE_S = 30.0
PROBE_S = 0.7  # after the latest transaction: readiness is what a write has found out within a second
RETRY_S = 1.0  # after a failure, maintenance is the probe that finds out whether writing works again

_log = logging.getLogger(__name__)


class Job(NamedTuple):
    """A transaction of its own. `report` is called in the writer thread with None, or why it failed."""

    run: Callable[[Writer], None]
    report: Callable[[BrokerUnavailableError | None], None]


Outcome = Published | BrokerUnavailableError
# Called in the writer thread after each transaction with the publishes and the outcome of each.
Report = Callable[[list[Append], Sequence[Outcome]], None]
ReportEnd = Callable[[BaseException | None], None]


class WriterThread:
    """Owns the writer from `start` on. `report` is called in its thread, once per batch, in order.

    `ended` is called in its thread at its end, with what ended it; None after `stop`.

    `failing`: whether the latest transaction failed, or the thread has ended; it may be read from any thread.
    """

    def __init__(self, writer: Writer, report: Report, ended: ReportEnd) -> None:
        self._writer = writer
        self._report = report
        self._ended = ended
        self._queue: SimpleQueue[Append | Job | None] = SimpleQueue()
        self._job: Job | None = None  # the one that comes after the batch
        self._maintain_at = time.monotonic() + MAINTENANCE_S
        self._probe_at = 0.0
        self._stop = False
        self.failing = False
        # A daemon: a program that fails before it closes its log must not hang.
        self._thread = Thread(target=self._run, name="log-writer", daemon=True)
        self.put = self._queue.put

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, close the file, end."""
        self._queue.put(None)

    def _run(self) -> None:
        cause: BaseException | None = None
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise to
            cause = error
            self.failing = True
        try:
            self._close()
        finally:
            self._ended(cause)

    def _work(self) -> None:
        while not self._stop:
            batch = self._take()
            if batch:
                self._report(batch, self._append(batch))
            if self._job is not None:
                job, self._job = self._job, None
                job.report(self._carry_out(job))
            now = time.monotonic()
            if now >= self._maintain_at:
                self._maintain()
            elif now >= self._probe_at and not self.failing:
                self._probe()

    def _take(self) -> list[Append]:
        """Wait for a publish, and take all that are queued by then."""
        batch: list[Append] = []
        try:
            due = self._maintain_at if self.failing else min(self._maintain_at, self._probe_at)
            item = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            while item is not None:
                if isinstance(item, Job):
                    self._job = item
                    return batch
                batch.append(item)
                if len(batch) == MAX_BATCH:
                    return batch
                item = self._queue.get_nowait()
            self._stop = True
        except Empty:
            pass
        return batch

    def _append(self, batch: list[Append]) -> Sequence[Outcome]:
        try:
            published = self._writer.append(batch)
        except UnwritableError as error:
            if len(batch) == 1:
                return [error]
            return [outcome for append in batch for outcome in self._append([append])]
        except Exception as error:  # noqa: BLE001 - a bug in one batch must not end the thread
            self._failed(error)
            # Of a bug, nobody knows whether it came before the commit or after.
            maybe = error.maybe_published if isinstance(error, BrokerUnavailableError) else True
            return [BrokerUnavailableError(str(error), maybe_published=maybe) for _ in batch]
        self._worked()
        return published

    def _carry_out(self, job: Job) -> BrokerUnavailableError | None:
        try:
            job.run(self._writer)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return BrokerUnavailableError(str(error))
        self._worked()
        return None

    def _maintain(self) -> None:
        try:
            more = self._writer.maintain()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return
        self._worked()
        self._maintain_at = time.monotonic() + (0.0 if more else MAINTENANCE_S)

    def _probe(self) -> None:
        try:
            self._writer.probe()
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
            return
        self._worked()

    def _worked(self) -> None:
        self._probe_at = time.monotonic() + PROBE_S
        if self.failing:
            _log.warning("the log can be written again")
            self.failing = False

    def _failed(self, error: Exception) -> None:
        if not self.failing and not isinstance(error, DamagedLogError):
            is_bug = not isinstance(error, BrokerUnavailableError)
            _log.error("%s", error, exc_info=error if is_bug else None)
        self.failing = True
        self._maintain_at = time.monotonic() + RETRY_S

    def _close(self) -> None:
        try:
            self._writer.close()
        except DamagedLogError:
            pass  # it was logged when it was found
        except Exception as error:  # noqa: BLE001 - the end is reported in any case
            _log.error("the log was not closed properly: %s", error)
