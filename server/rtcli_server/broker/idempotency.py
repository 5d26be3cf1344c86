"""Idempotency keys: which publish was seen before, for some minutes and within a bound.

Ages are measured with a steady clock: when the wall clock jumps ahead by an hour, a publish whose answer was
lost just before is still known when it is repeated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rtcli.protocol.position import Position


class IdempotencyKeys:
    """Remembers positions by (channel, key) for `window_ms`, at most `limit` of them (oldest go first).

    Each call does constant work: keys expire from the front of a queue in order of arrival. `clock` gives
    steady seconds.
    """

    __slots__ = ("_clock", "_limit", "_positions", "_queue", "_window_s")

    def __init__(self, window_ms: int, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_ms / 1000
        self._limit = limit
        self._clock = clock
        self._positions: dict[tuple[str, str], Position] = {}
        self._queue: deque[tuple[float, tuple[str, str]]] = deque()  # (when it was seen, channel and key)

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, channel: str, key: str) -> Position | None:
        """The position that was published under this key, unless it has expired."""
        queue, oldest = self._queue, self._clock() - self._window_s
        while queue and queue[0][0] < oldest:
            del self._positions[queue.popleft()[1]]
        return self._positions.get((channel, key))

    def remember(self, channel: str, key: str, position: Position, *, age_ms: int = 0) -> None:
        """Keep a key that `find` did not know, seen `age_ms` milliseconds ago."""
        pair = (channel, key)
        self._positions[pair] = position
        self._queue.append((self._clock() - age_ms / 1000, pair))
        if len(self._queue) > self._limit:
            del self._positions[self._queue.popleft()[1]]
