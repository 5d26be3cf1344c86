"""Owns what runs as long as the server: notices its end, logs the cause, starts it again or ends the process.

A task that nobody awaits ends in silence: its exception lies in it until the garbage collector finds it, and
the server goes on without deliveries, heartbeats or keys. So everything that runs for ever is started by one
supervisor. docs/operations.md lists what that is, and what follows when it ends.

A restart is delayed, and the delay doubles while it fails again. Meanwhile, and until it has run for a
moment, `failing` names it, and the server is not ready.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

FIRST_DELAY_S = 0.1  # before the first restart; doubles with each end that follows soon
MAX_DELAY_S = 5.0
STEADY_S = 1.0  # what has run that long after a restart runs again

Run: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_log = logging.getLogger(__name__)


class OnEnd(Enum):
    """What follows when something ends that should run as long as the server."""

    RESTART = "starts it again"
    EXIT = "ends the process"


class Supervised(NamedTuple):
    """Something that runs as long as the server. `name` is for people, in logs and in docs/operations.md."""

    name: str
    on_end: OnEnd = OnEnd.RESTART

    # The texts have the name in them, because logs limit how often the same text comes (process/logs.py).
    @property
    def restart_text(self) -> str:
        """The log line of an end that a restart follows."""
        return f"{self.name} ended unexpectedly: %s; starting it again in %.1f s"

    @property
    def exit_text(self) -> str:
        """The log line of an end that ends the process."""
        return f"{self.name} ended unexpectedly: %s; it cannot be started again, so the server ends"

    @property
    def steady_text(self) -> str:
        """The log line of what runs again."""
        return f"{self.name} runs again"


class Supervisor:
    """The owner of what runs for ever. All methods are called on the event loop's thread."""

    def __init__(self, *, first_delay_s: float = FIRST_DELAY_S, steady_s: float = STEADY_S) -> None:
        self._first_delay_s = first_delay_s
        self._steady_s = steady_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: dict[object, str] = {}
        self._ends_expected = False
        self._exit_cause = ""
        self._must_exit = asyncio.Event()

    @property
    def failing(self) -> Mapping[object, str]:
        """What does not run now, or not steadily yet: the name of each. Empty when all is well."""
        return self._failing

    @property
    def exit_cause(self) -> str:
        """What ended, and why, when the process must end because of that; else ""."""
        return self._exit_cause

    async def wait_for_exit(self) -> None:
        """Wait until something has ended that cannot be started again."""
        await self._must_exit.wait()

    def start(self, what: Supervised, run: Run) -> asyncio.Task[None]:
        """Run `run()` on the running loop until the task that is returned is cancelled, or `stop`.

        `run` should never end: an end is an unexpected one, whether by an exception, a return, or a
        cancellation that came from inside.
        """
        task = asyncio.get_running_loop().create_task(self._keep_running(what, run), name=what.name)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def ended(self, what: Supervised, cause: BaseException | str) -> None:
        """Record the end of something that is no task, and cannot be started again: a thread, a server."""
        if not self._ends_expected:
            self._failing[what] = what.name
            self._exit(what, cause)

    def expect_ends(self) -> None:
        """Take every end from now on as meant: the server is stopping, and what it waits for is closed."""
        self._ends_expected = True

    async def stop(self) -> None:
        """Cancel everything that runs, and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # logged by `_keep_running`; retrieved, so that the collector does not find it

    # -- one task --------------------------------------------------------------------------------------------

    async def _keep_running(self, what: Supervised, run: Run) -> None:
        key = object()
        loop = asyncio.get_running_loop()
        delay_s = self._first_delay_s
        try:
            while True:
                steady = loop.call_later(self._steady_s, self._on_steady, key, what)
                try:
                    cause = await _end_of(run)
                finally:
                    steady.cancel()
                if self._ends_expected:
                    return
                if key not in self._failing:
                    delay_s = self._first_delay_s
                self._failing[key] = what.name
                if what.on_end is OnEnd.EXIT:
                    self._exit(what, cause)
                    await asyncio.Event().wait()
                _log.error(what.restart_text, _text_of(cause), delay_s, exc_info=_traceback_of(cause))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, MAX_DELAY_S)
        finally:
            self._failing.pop(key, None)

    def _on_steady(self, key: object, what: Supervised) -> None:
        if self._failing.pop(key, None) is not None:
            _log.warning(what.steady_text)

    def _exit(self, what: Supervised, cause: BaseException | str) -> None:
        _log.critical(what.exit_text, _text_of(cause), exc_info=_traceback_of(cause))
        self._exit_cause = self._exit_cause or f"{what.name} ended unexpectedly: {_text_of(cause)}"
        self._must_exit.set()


async def _end_of(run: Run) -> BaseException | str:
    """Run it; return how it ended. A cancellation of the caller ends it, and is passed on.

    It is a task of its own, which tells a cancellation of the caller from one that came from inside. (What
    `Task.cancelling` says is not reliable after a TaskGroup has failed, before Python 3.13.)
    """
    task = asyncio.create_task(run())
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if task.cancelled():
        return "something that it waited for was cancelled"
    return task.exception() or "it returned"


def _text_of(cause: BaseException | str) -> str:
    """The cause in a few words; a group of one is its member."""
    while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    return cause if isinstance(cause, str) else repr(cause)


def _traceback_of(cause: BaseException | str) -> BaseException | None:
    return None if isinstance(cause, str) else cause
