"""A parent process that keeps the workers of one port running, and ends when they have ended (Linux).

Workers are forked: they start at once, share what was imported, and get settings and keys without a file, the
environment or arguments. The parent has no threads and no event loop. Each worker holds one end of a pipe: it
writes a byte when it accepts connections, and the end of the pipe means that the worker has exited.

SIGTERM or SIGINT to the parent drains all workers; a second one kills them and exits at once. A terminal
sends Ctrl-C to the workers as well, and a service manager SIGTERM: so a worker ignores SIGINT, and a repeated
SIGTERM is no second request. A worker whose parent is gone gets SIGTERM from the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from rtcli_server.process.worker_pool_state import WorkerPoolState, describe_exit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger(__name__)

# `work(number, tell_ready)` is what a worker does, in its own process; it returns its exit code.
Work = Callable[[int, Callable[[], None]], int]


class WorkersError(Exception):
    """The workers could not be kept running, or did not end in time."""


def supervise(count: int, work: Work, *, on_ready: Callable[[], None], stop_s: float) -> None:
    """Run `count` workers until SIGTERM or SIGINT, then give them `stop_s` seconds to end.

    `on_ready` is called once, when all of them are ready. Raises WorkersError.
    """
    with contextlib.closing(_Supervisor(count, work, on_ready, stop_s)) as supervisor:
        supervisor.run()


class _Supervisor:
    def __init__(self, count: int, work: Work, on_ready: Callable[[], None], stop_s: float) -> None:
        self._state = WorkerPoolState(count)
        self._work = work
        self._on_ready = on_ready
        self._stop_s = stop_s
        self._selector = selectors.DefaultSelector()
        self._stop_by = math.inf
        self._failure: str | None = None

    def close(self) -> None:
        """Kill the workers that still run, and release everything."""
        self._kill(signal.SIGKILL)
        for pid in self._state.pids.values():
            os.waitpid(pid, 0)
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()

    def run(self) -> None:
        gc.collect()
        gc.freeze()  # the objects that exist now stay shared between the processes
        with self._caught_signals() as caught:
            while True:
                while due := self._state.to_start(time.monotonic()):
                    self._start(due[0])
                if self._is_stopping and not self._state.pids:
                    break
                self._wait(caught)
        if self._failure is not None:
            raise WorkersError(self._failure)

    @property
    def _is_stopping(self) -> bool:
        return self._stop_by < math.inf

    def _wait(self, caught: socket.socket) -> None:
        now = time.monotonic()
        if now >= self._stop_by:
            self._failure = self._failure or f"not all workers ended within {self._stop_s:g} s: killed"
            self._kill(signal.SIGKILL)
            self._stop_by = now + self._stop_s
        seconds = min(self._state.wait_s(now), self._stop_by - now)
        for key, _ in self._selector.select(None if seconds == math.inf else seconds):
            if key.fileobj is caught:
                for number in caught.recv(64):
                    self._on_signal(number)
            elif os.read(key.fd, 1):
                if self._state.ready(key.data) and not self._is_stopping:
                    self._on_ready()
            else:
                self._reap(key.data, key.fd)

    # -- a worker's life -----------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        reading, writing = os.pipe()
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until parent and child have their own handlers
        try:
            pid = os.fork()
            if pid == 0:
                self._become_worker(number, writing, parent)
        except OSError as error:
            os.close(reading)
            self._state.started(number, 0, time.monotonic())
            self._lost(number, 0, f"could not be started ({error.strerror})")
        else:
            self._selector.register(reading, selectors.EVENT_READ, number)
            self._state.started(number, pid, time.monotonic())
        finally:
            os.close(writing)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _become_worker(self, number: int, writing: int, parent: int) -> NoReturn:
        exit_code = 1
        try:
            end_with_parent(parent)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            exit_code = self._work(number, lambda: _write_byte(writing))
        except BaseException:  # noqa: BLE001 - no exception may reach the parent's code
            _log.exception("worker %d failed", number)
        finally:
            os._exit(exit_code)

    def _reap(self, number: int, reading: int) -> None:
        self._selector.unregister(reading)
        os.close(reading)
        pid = self._state.pids[number]
        _, status = os.waitpid(pid, 0)
        self._lost(number, pid, describe_exit(os.waitstatus_to_exitcode(status)))

    def _lost(self, number: int, pid: int, how: str) -> None:
        fate = self._state.exited(number, time.monotonic())
        if self._is_stopping:
            _log.info("worker %d %s", number, how, extra={"worker": number, "pid": pid})
        elif isinstance(fate, str):
            self._failure = f"worker {number} {how} {fate}"
            self._stop()
        else:
            text = "worker %d %s; starting it again in %.1f s"
            _log.warning(text, number, how, fate, extra={"worker": number, "pid": pid})

    # -- stopping ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _caught_signals(self) -> Iterator[socket.socket]:
        """Turn signals into bytes on a socket that the selector watches."""
        caught, wakeup = socket.socketpair()
        wakeup.settimeout(0)
        before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        signal.set_wakeup_fd(wakeup.fileno())
        self._selector.register(caught, selectors.EVENT_READ)
        try:
            yield caught
        finally:
            self._selector.unregister(caught)
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            caught.close()
            wakeup.close()

    def _on_signal(self, number: int) -> None:
        if self._is_stopping:
            self._kill(signal.SIGKILL)
            sys.stderr.flush()
            os._exit(128 + number)
        self._stop()

    def _stop(self) -> None:
        self._state.stop()
        self._stop_by = time.monotonic() + self._stop_s
        self._kill(signal.SIGTERM)

    def _kill(self, number: signal.Signals) -> None:
        for pid in self._state.pids.values():
            os.kill(pid, number)  # not reaped yet, so the number is not reused


def end_with_parent(parent: int) -> None:
    """Have the kernel send this process SIGTERM when its parent exits, for whatever reason (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it has exited already
        os._exit(1)


def _write_byte(writing: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(writing, b"r")
