"""Reads in a thread what an asynchronous iterator gives on its loop."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Generic, Self, TypeVar

from rtcli.blocking.loop_thread import LoopThread
from rtcli.library.errors import ClosedError

T = TypeVar("T")


class Reader(Generic[T]):
    """Messages, events or updates, in order. Each loop over it goes on where the last one ended.

    Nothing is lost when a loop is interrupted (Ctrl-C), or when `get` is over before something comes.
    """

    def __init__(self, thread: LoopThread, source: AsyncIterator[T]) -> None:
        self._thread = thread
        self._source = source
        self._waiting: list[Future[T]] = []  # at most one: the next value
        weakref.finalize(self, _cancel, self._waiting).atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self._next(None)
        except StopAsyncIteration:
            raise StopIteration from None

    def get(self, timeout_s: float | None = None) -> T:
        """Wait for the next one. Raises TimeoutError, and ClosedError when none will come any more."""
        try:
            return self._next(timeout_s)
        except StopAsyncIteration:
            raise ClosedError("there is nothing more to come", code="closed") from None

    def _next(self, timeout_s: float | None) -> T:
        if not self._waiting:
            self._waiting.append(self._thread.submit(_step(self._source)))
        future = self._waiting[0]
        try:
            return future.result(timeout_s)
        finally:
            if future.done():
                self._waiting.clear()


async def _step(source: AsyncIterator[T]) -> T:
    return await anext(source)


def _cancel(waiting: list[Future[T]]) -> None:
    """Nobody reads any more: let the asynchronous reader go, too."""
    for future in waiting:
        future.cancel()
