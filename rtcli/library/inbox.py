"""Values that wait for one reader of a program: bounded, and safe to be cancelled."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rtcli.errors import RtcliError

T = TypeVar("T")


class EndedError(Exception):
    """There will be no further value, and nothing went wrong."""


class Inbox(Generic[T]):
    """What was delivered and not taken yet, in order. `on_taken` is called after each take.

    It is full with `max_values`, and drained when at most half of them are left. Whoever delivers stops then
    with what can be read again; other values are kept up to twice as many, and then only the latest one.
    """

    def __init__(self, max_values: int, on_taken: Callable[[], None]) -> None:
        self._max = max_values
        self._on_taken = on_taken
        self._values: deque[T] = deque()
        self._changed = asyncio.Event()
        self._end: RtcliError | Exception | None = None

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be delivered for now."""
        return len(self._values) >= self._max

    @property
    def is_drained(self) -> bool:
        """Whether there is room for a good deal again."""
        return len(self._values) <= self._max // 2

    def put(self, value: T) -> None:
        """Deliver a value."""
        if self._end is not None:
            return
        if len(self._values) >= 2 * self._max:
            self._values.pop()
        self._values.append(value)
        self._changed.set()

    def end(self, error: Exception | None) -> None:
        """Let `take` raise this error, or EndedError, once all values are taken."""
        if self._end is None:
            self._end = EndedError() if error is None else error
            self._changed.set()

    async def take(self) -> T:
        """Wait for a value and take it. Cancelled, it takes none."""
        while not self._values:
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()
        value = self._values.popleft()
        self._on_taken()
        return value
