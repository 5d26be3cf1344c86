"""An event loop in a thread of its own, whose work other threads wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from rtcli.library.errors import ClosedError

T = TypeVar("T")
_JOIN_TIMEOUT_S = 5.0  # longer than any good-bye


class LoopThread:
    """Runs until `stop`, or until the process ends: it keeps no process alive."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_ready = threading.Event()
        self._lock = threading.Lock()  # of `_loop`: either work is accepted, or it is over
        self._thread = threading.Thread(target=self._run, name="rtcli.blocking", daemon=True)
        self._thread.start()
        self._is_ready.wait()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin with this work. Raises ClosedError, and RuntimeError in the thread itself."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a token function cannot use the client that it is for")
        with self._lock:
            if self._loop is not None:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise ClosedError("it was closed before", hint="make a new one", code="closed")

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do this work, and return what it returns. Interrupted (Ctrl-C), it is cancelled."""
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the loop."""

        async def work() -> T:
            return function()

        return self.wait(work())

    def stop(self) -> None:
        """Cancel what is still done, and end. May be called several times, and from anywhere."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(self._stopping.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_ready.set()
        await self._stopping.wait()
