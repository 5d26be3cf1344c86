"""Signals, and a closed stdout: commands end in order with 130 or 143, and at once after a second Ctrl-C.

Handlers are always installed: a background job of a shell script inherits SIGINT ignored, and process 1 of a
container ignores SIGTERM by default.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING

from rtcli.errors import Exit
from rtcli.terminal.console import StdoutClosedError, console

if TYPE_CHECKING:
    import asyncio  # `rtcli --version` does without

_GRACE_S = 0.2  # a terminal may deliver one Ctrl-C twice (to the group, and passed on by a wrapper)


class TerminatedError(BaseException):
    """SIGTERM was received. Like KeyboardInterrupt, this is not an Exception."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError


def install() -> None:
    """Make SIGINT raise KeyboardInterrupt and SIGTERM raise TerminatedError, whatever was inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)


class _Interrupts:
    """Counts the signals of one run: the first cancels `task`, a later one ends the process."""

    def __init__(self, task: asyncio.Task[int], clock: Callable[[], float]) -> None:
        self.task = task
        self.clock = clock
        self.exit_code: int | None = None
        self.first_at = 0.0

    def on_signal(self, exit_code: int) -> None:
        if self.exit_code is None:
            self.exit_code = exit_code
            self.first_at = self.clock()
            self.task.cancel(Exit(exit_code).name)
        elif self.clock() - self.first_at > _GRACE_S:
            os._exit(exit_code)

    def on_stdout_readable(self, loop: asyncio.AbstractEventLoop) -> None:
        # The reader has gone only if the descriptor has an error; a socket may just have bytes to read.
        loop.remove_reader(1)
        if console.stdout_is_closed() and self.exit_code is None:
            self.exit_code = Exit.OK
            self.task.cancel()


def _watch_stdout(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        mode = os.fstat(1).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            loop.add_reader(1, callback)
    except OSError:
        return


async def _supervise(main: Coroutine[object, object, int], *, needs_stdout: bool) -> int:
    import asyncio  # noqa: PLC0415 - see above

    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    interrupts = _Interrupts(task, time.monotonic)
    loop.add_signal_handler(signal.SIGINT, interrupts.on_signal, Exit.SIGINT)
    loop.add_signal_handler(signal.SIGTERM, interrupts.on_signal, Exit.SIGTERM)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, interrupts.on_signal, Exit.SIGHUP)
    if needs_stdout:
        _watch_stdout(loop, lambda: interrupts.on_stdout_readable(loop))
    try:
        result = await task
    except asyncio.CancelledError:
        if interrupts.exit_code is None:
            raise
        return interrupts.exit_code
    except StdoutClosedError:
        return Exit.OK
    finally:
        if needs_stdout:
            loop.remove_reader(1)
    # A command that handled the cancellation and returned is still ended by the signal, unless by a bug.
    return result if interrupts.exit_code is None or result == Exit.BUG else interrupts.exit_code


def run(main: Coroutine[object, object, int], *, needs_stdout: bool = True) -> int:
    """Run a command's coroutine and return its exit code.

    SIGINT and SIGTERM cancel it, so its `finally` blocks run, and make the exit code 130 and 143; the
    CancelledError has the signal's name. A second one ends the process at once. SIGHUP makes it 129, unless
    it was ignored on purpose (nohup). When the reader of stdout goes away, even while nothing is written, it
    is cancelled too, and the exit code is 0; with `needs_stdout=False` it goes on.
    """
    import asyncio  # noqa: PLC0415 - see above

    with asyncio.Runner() as runner:
        try:
            return runner.run(_supervise(main, needs_stdout=needs_stdout))
        finally:
            install()
