"""Which of the workers of one port should run, and when to restart one. Pure: times are arguments.

A worker that exits is restarted after a short delay. The delay doubles each time that it exits early, and
after the fifth time in a row the pool gives up: the cause will not go away by itself. Until all workers have
been ready once, no client relies on the server: then the first exit ends the pool.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass

FIRST_DELAY_S = 0.1  # doubles with each early exit
EARLY_S = 5.0  # an exit sooner than this after the start is early
MAX_EARLY_EXITS = 5  # of one worker, in a row


@dataclass(slots=True)
class _Worker:
    pid: int | None = None
    started_at: float = 0.0
    is_ready: bool = False
    early_exits: int = 0
    start_at: float = 0.0


class WorkerPoolState:
    """The state of the workers 1 to `count`. Times are monotonic seconds."""

    def __init__(self, count: int) -> None:
        self._workers = {number: _Worker() for number in range(1, count + 1)}
        self._was_ready = False
        self._stopping = False

    @property
    def pids(self) -> dict[int, int]:
        """The process of each worker that runs, by the worker's number."""
        return {number: worker.pid for number, worker in self._workers.items() if worker.pid is not None}

    def to_start(self, now: float) -> list[int]:
        """The numbers of the workers to start now."""
        return [number for number, worker in self._waiting() if worker.start_at <= now]

    def wait_s(self, now: float) -> float:
        """Seconds until the next worker is to be started; infinite when none is."""
        return min((max(0.0, worker.start_at - now) for _, worker in self._waiting()), default=math.inf)

    def _waiting(self) -> list[tuple[int, _Worker]]:
        if self._stopping:
            return []
        return [(number, worker) for number, worker in self._workers.items() if worker.pid is None]

    def started(self, number: int, pid: int, now: float) -> None:
        """Record that a worker was started."""
        worker = self._workers[number]
        worker.pid, worker.started_at, worker.is_ready = pid, now, False

    def ready(self, number: int) -> bool:
        """Record that a worker accepts connections; return whether now all do, for the first time."""
        self._workers[number].is_ready = True
        if self._was_ready or not all(worker.is_ready for worker in self._workers.values()):
            return False
        self._was_ready = True
        return True

    def exited(self, number: int, now: float) -> float | str:
        """Record that a worker has exited; return the seconds until its restart, or why there is none."""
        worker = self._workers[number]
        is_early = now - worker.started_at < EARLY_S
        worker.pid, worker.is_ready = None, False
        worker.early_exits = worker.early_exits + 1 if is_early else 0
        if not self._was_ready:
            return "before all workers were ready"
        if worker.early_exits >= MAX_EARLY_EXITS:
            return f"{MAX_EARLY_EXITS} times in a row, each within {EARLY_S:g} s of its start"
        delay_s = FIRST_DELAY_S * 2**worker.early_exits
        worker.start_at = now + delay_s
        return float(delay_s)

    def stop(self) -> None:
        """Start no worker any more."""
        self._stopping = True


def describe_exit(exit_code: int) -> str:
    """How a process ended; `exit_code` is its exit code, or minus the number of the signal."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
