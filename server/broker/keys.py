"""Idempotency keys: which publish was seen before, for some minutes and within a bound."""

from __future__ import annotations

from collections import deque

from server.protocol.position import Position


class KeyMemory:
    """Remembers positions by (channel, key) for `window_ms`, at most `limit` of them (oldest go first).

    Each call does constant work: expiry takes from the front of a queue in order of arrival.
    """

    __slots__ = ("_limit", "_positions", "_queue", "_window_ms")

    def __init__(self, window_ms: int, limit: int) -> None:
        self._window_ms = window_ms
        self._limit = limit
        self._positions: dict[tuple[str, str], Position] = {}
        self._queue: deque[tuple[int, tuple[str, str]]] = deque()

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, channel: str, key: str, now_ms: int) -> Position | None:
        """The position that was published under this key, unless that is too long ago."""
        self._expire(now_ms)
        return self._positions.get((channel, key))

    def remember(self, channel: str, key: str, position: Position, now_ms: int) -> None:
        """Keep a key that `find` did not know."""
        pair = (channel, key)
        self._positions[pair] = position
        self._queue.append((now_ms, pair))
        if len(self._queue) > self._limit:
            del self._positions[self._queue.popleft()[1]]

    def _expire(self, now_ms: int) -> None:
        queue = self._queue
        while queue and queue[0][0] < now_ms - self._window_ms:
            del self._positions[queue.popleft()[1]]
