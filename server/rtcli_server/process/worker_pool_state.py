"""Which of the workers of one port should run, and when to start one again. Pure: times are arguments.

A worker that dies is started again after a short delay. One that dies at once, again and again, is given a
longer delay each time, and then given up: what ends it will not go away by itself. Before all workers have
been ready once, nothing has been promised to anybody: then the first death is the end.
"""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass

FIRST_DELAY_S = 0.1  # doubles with each early death
EARLY_S = 5.0  # who lived shorter died at once
MAX_EARLY_DEATHS = 5  # of one worker, in a row


@dataclass(slots=True)
class _Worker:
    pid: int | None = None
    started_at: float = 0.0
    is_ready: bool = False
    early_deaths: int = 0
    due_at: float = 0.0


class Crew:
    """The workers 1 to `count`. Times are monotonic seconds."""

    def __init__(self, count: int) -> None:
        self._workers = {number: _Worker() for number in range(1, count + 1)}
        self._was_ready = False
        self._stopping = False

    @property
    def pids(self) -> dict[int, int]:
        """The process of each worker that runs, by the worker's number."""
        return {number: worker.pid for number, worker in self._workers.items() if worker.pid is not None}

    def to_start(self, now: float) -> list[int]:
        """Say who should be started now."""
        return [number for number, worker in self._waiting() if worker.due_at <= now]

    def wait_s(self, now: float) -> float:
        """Say in how many seconds somebody is to be started; infinite when nobody is."""
        return min((max(0.0, worker.due_at - now) for _, worker in self._waiting()), default=math.inf)

    def _waiting(self) -> list[tuple[int, _Worker]]:
        if self._stopping:
            return []
        return [(number, worker) for number, worker in self._workers.items() if worker.pid is None]

    def started(self, number: int, pid: int, now: float) -> None:
        """Note that a worker was started."""
        worker = self._workers[number]
        worker.pid, worker.started_at, worker.is_ready = pid, now, False

    def ready(self, number: int) -> bool:
        """Note that a worker takes connections; say whether now all do, for the first time."""
        self._workers[number].is_ready = True
        if self._was_ready or not all(worker.is_ready for worker in self._workers.values()):
            return False
        self._was_ready = True
        return True

    def died(self, number: int, now: float) -> float | str:
        """Note that a worker has ended; say in how many seconds to start it again, or why not."""
        worker = self._workers[number]
        is_early = now - worker.started_at < EARLY_S
        worker.pid, worker.is_ready = None, False
        worker.early_deaths = worker.early_deaths + 1 if is_early else 0
        if not self._was_ready:
            return "before all workers were ready"
        if worker.early_deaths >= MAX_EARLY_DEATHS:
            return f"{MAX_EARLY_DEATHS} times in a row, each within {EARLY_S:g} s of its start"
        delay_s = FIRST_DELAY_S * 2**worker.early_deaths
        worker.due_at = now + delay_s
        return float(delay_s)

    def stop(self) -> None:
        """Start nobody any more."""
        self._stopping = True


def describe_end(exit_code: int) -> str:
    """Say how a process ended: its exit code, or minus the signal that ended it."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
