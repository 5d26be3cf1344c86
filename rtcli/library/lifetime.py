"""The one task behind a client or stream: started once, ended in order, and why it ended."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from rtcli.errors import RtcliError
from rtcli.library.errors import ClosedError

_GOODBYE_TIMEOUT_S = 2.0


class Lifetime:
    """Runs `run` as a task. `on_over` is called once, with the error that ended it or None."""

    def __init__(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        explain: Callable[[RtcliError], RtcliError],
        on_over: Callable[[Exception | None], None],
    ) -> None:
        self._run = run
        self._explain = explain
        self._on_over = on_over
        self._task: asyncio.Task[None] | None = None
        self._decided = asyncio.Event()  # open for the first time, or over
        self._was_open = False
        self._closing = False
        self._is_over = False
        self._error: Exception | None = None

    @property
    def is_begun(self) -> bool:
        """Whether it was started, or closed."""
        return self._task is not None or self._closing

    def start(self) -> None:
        """Start the task, unless it runs. Raises ClosedError."""
        if self._closing:
            raise _closed()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(self._on_end)

    def opened(self) -> None:
        """There is a connection."""
        self._was_open = True
        self._decided.set()

    async def ready(self) -> None:
        """Start, and wait for the first connection; raises why there is none."""
        self.start()
        await self._decided.wait()
        if not self._was_open:
            self.check_usable()

    def check_usable(self) -> None:
        """Raise the error that ended it, or ClosedError, if it is over."""
        if self._error is not None:
            raise self._error
        if self._closing:
            raise _closed()

    async def close(self, goodbye: Callable[[], Awaitable[None]] | None = None) -> None:
        """Say good-bye, and end the task if it does not end by that; also when the caller is cancelled."""
        self._closing = True
        try:
            if goodbye is not None and self._task is not None and not self._task.done():
                await goodbye()
                await asyncio.wait([self._task], timeout=_GOODBYE_TIMEOUT_S)
        finally:
            if self._task is not None:
                await _end(self._task)
            self._over(None)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, RtcliError):
            error = self._explain(error)
        self._over(error if isinstance(error, Exception) else None)

    def _over(self, error: Exception | None) -> None:
        if self._is_over:
            return
        self._is_over, self._error = True, error
        self._on_over(error)
        self._decided.set()


class Block(ABC):
    """What is opened with `async with`, and closed at the end of the block."""

    @abstractmethod
    async def ready(self) -> None:
        """Wait until it is open; raises why it cannot be opened."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything. Loops end when they have what is there already."""

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _closed() -> ClosedError:
    return ClosedError("it was closed before", hint="make a new one", code="closed")


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end. If the caller is cancelled meanwhile, it is told after that."""
    task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
