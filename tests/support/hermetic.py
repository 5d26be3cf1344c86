"""Tests depend on nothing that their session inherits, and leave nothing behind.

Signal dispositions, the signal mask, the umask, the locale, environment variables, the home directory and
the directory for temporary files are the same in every session, whoever starts it and how. Everything that
the tests start inherits them from here.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.paths import ROOT

# Only these are kept: PATH, and what the test run's own machinery says to its processes.
KEPT = ("PATH", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("COVERAGE_", "PYTEST_", "PIP_")
SET = {
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "TZ": "UTC",
    "SHELL": "/bin/sh",
    "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis"),  # otherwise where the session is started
}
MARK = (
    "TEST_SESSION"  # set in every process of this session, by which it is found when it outlives the session
)
SYSTEM = ("/usr/sbin", "/sbin")  # where nginx is, and not on everybody's PATH
GRACE_S = 3.0
# Multiprocessing keeps one for as long as the process lives that asked for it.
EXPECTED = "multiprocessing.resource_tracker"


def neutralise() -> None:
    """Set everything but the directories, which `use_directories` sets."""
    os.umask(0o022)
    _reset_signals()
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)
    }
    os.environ.clear()
    os.environ.update(kept | SET | {MARK: str(os.getpid())})
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM])
    time.tzset()


def use_directories(home: Path, temporary: Path) -> None:
    """Set an empty home, and where temporary files go."""
    os.environ.update(HOME=str(home), TMPDIR=str(temporary))
    tempfile.tempdir = None  # it is looked up again


def _reset_signals() -> None:
    """Let processes that we start have the default disposition of every signal.

    What was ignored, as SIGHUP is under nohup, remains without effect on this process: it gets a handler that
    does nothing, and a handler is not inherited. Python itself ignores SIGPIPE and SIGXFSZ, and restores them
    in the processes that it starts.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else lambda *_: None)


def left_processes() -> list[str]:
    """The processes that this session started and that still run after some grace, with their commands."""
    deadline = time.monotonic() + GRACE_S
    while (left := _marked()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _marked() -> list[str]:
    found = []
    own = os.getpid()
    for process in psutil.process_iter():
        try:
            if process.pid == own or not _is_ours(process, own):
                continue
            command = " ".join(process.cmdline())
        except psutil.Error:  # it has ended, or belongs to somebody else
            continue
        if EXPECTED not in command:
            found.append(f"{process.pid}: {command}")
    return found


def _is_ours(process: psutil.Process, own: int) -> bool:
    """Whether a process bears our mark, or will: in the middle of execve(2) it has no environment yet."""
    environment = process.environ()
    started = environment.get(MARK) == str(own) or (not environment and process.ppid() == own)
    return started and process.status() != psutil.STATUS_ZOMBIE  # nobody has asked how it ended


def left_files(temporary: Path) -> list[str]:
    """What is left in the directory for temporary files."""
    return sorted(str(path) for path in temporary.iterdir())
