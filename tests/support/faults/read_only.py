"""A file system that turns read-only under a running process, as ext4 does after an error of the disk.

A mount cannot be made read-only while a file there is open for writing. So strace answers the calls that
would write there, as the kernel does then: with EROFS.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes.lifetime import DIES_WITH_US
from tests.support.waiting import wait_until

WRITES = "pwrite64,ftruncate,fsync,fdatasync"  # of SQLite, and of the note; sockets and logs use others


@contextmanager
def read_only(pid: int) -> Iterator[None]:
    """Let no file be written in this process while the context is open."""
    only = ("-e", f"trace={WRITES}", "-e", f"inject={WRITES}:error=EROFS")
    command = [*DIES_WITH_US, "strace", "--follow-forks", "--output=/dev/null", f"--attach={pid}", *only]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _is_traced(pid), "strace follows all threads")
        yield
    finally:
        strace.terminate()  # it lets go of the process first
        strace.wait(10)


def _is_traced(pid: int) -> bool:
    states = [state.read_text() for state in Path(f"/proc/{pid}/task").glob("*/status")]
    return not any("TracerPid:\t0\n" in state for state in states)
