"""Idempotency keys: which publish was seen before, for some minutes and within a bound.

Ages are measured with a steady clock: when the wall clock jumps ahead by an hour, a publish whose answer was
lost just before is still known when it is repeated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from rtcli.protocol.position import Position

Pair = tuple[str, str]  # the channel and the key
# One use of a key: when (in steady seconds), and what was published.
_Seen = tuple[float, Pair, Position]


class IdempotencyKeys:
    """Remembers positions by channel and key for `window_ms`, at most `limit` of them (oldest go first).

    Each call does constant work: keys expire from the front of a queue in order of arrival. A key may be in
    the queue more than once; only its latest use counts. `clock` gives steady seconds.
    """

    __slots__ = ("_clock", "_latest", "_limit", "_queue", "_window_s")

    def __init__(self, window_ms: int, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_ms / 1000
        self._limit = limit
        self._clock = clock
        self._latest: dict[Pair, _Seen] = {}
        self._queue: deque[_Seen] = deque()

    def __len__(self) -> int:
        return len(self._latest)

    def find(self, pair: Pair) -> Position | None:
        """The position that was published under this key, unless it has expired."""
        queue, oldest_s = self._queue, self._clock() - self._window_s
        while queue and queue[0][0] < oldest_s:
            self._drop_first()
        seen = self._latest.get(pair)
        return None if seen is None or seen[0] < oldest_s else seen[2]

    def remember(self, pair: Pair, position: Position, *, age_ms: int = 0) -> None:
        """Keep a use of a key, seen `age_ms` milliseconds ago, in place of an earlier one."""
        seen = self._latest[pair] = (self._clock() - age_ms / 1000, pair, position)
        self._queue.append(seen)
        if len(self._queue) > self._limit:
            self._drop_first()

    def remember_all(self, positions: Mapping[Pair, Position]) -> None:
        """Keep keys that are used now."""
        now_s, latest, append = self._clock(), self._latest, self._queue.append
        for pair, position in positions.items():
            seen = latest[pair] = (now_s, pair, position)
            append(seen)
        while len(self._queue) > self._limit:
            self._drop_first()

    def _drop_first(self) -> None:
        seen = self._queue.popleft()
        if self._latest.get(seen[1]) is seen:
            del self._latest[seen[1]]
