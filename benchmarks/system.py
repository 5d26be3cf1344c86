"""What the operating system knows of a server under test: processor time, memory, cores."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

SERVER_CORE = 0
CLIENT_CORE = 1


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes started inside inherit the core; the caller's own cores are given back after."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} if core in before else before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree_of(pid: int) -> list[int]:
    """`pid` and its descendants: a server may have workers."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that `pids` have used so far, in seconds."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(used.user + used.system for used in times))


def resident_bytes(pids: Sequence[int]) -> int:
    """Resident memory of `pids` together, in bytes."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)
