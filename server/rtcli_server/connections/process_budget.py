"""The budget of the whole process for what waits to be sent: over it, the slowest are cut off.

Each client has a budget of its own, but thousands of them together may still be more than there is. Only
bytes that have waited for more than a second count: a large fan-out to clients who read is no offence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

WINDOW_S = 1.0
TICKS = 10  # in which all outputs are looked at once


class Output(Protocol):
    """The sending side of a connection."""

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes that wait to be sent. 0 when it has gone: it may be looked at for a while."""
        ...

    def cut_off(self) -> None:
        """Close it for being slow, at once: what waits is dropped."""
        ...


class _Waiting:
    """What waits in one output, looked at once per tick.

    Bytes are sent in order: of those that waited when a window began, all are late at its end that were not
    sent in it. What is sent and written again between two looks is not seen, and taken for waiting.
    """

    __slots__ = ("_begun_at", "_bytes", "_sent", "_waited", "late_bytes", "sent_share", "since")

    def __init__(self, now: float, waiting_bytes: int) -> None:
        self.since = now
        self.late_bytes = 0
        self.sent_share = math.inf  # bytes sent in the last window, for each that was late at its end
        self._bytes = waiting_bytes
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._begun_at = now
        self._waited = self._bytes
        self._sent = 0

    def update(self, now: float, waiting_bytes: int) -> None:
        """Take what waits now."""
        self._sent += max(0, self._bytes - waiting_bytes)
        self._bytes = waiting_bytes
        if now - self._begun_at < WINDOW_S:
            return
        self.late_bytes = max(0, self._waited - self._sent)
        self.sent_share = self._sent / self.late_bytes if self.late_bytes else math.inf
        self._begin(now)


class ProcessBudget:
    """Watches `outputs()` and keeps what is late within `process_bytes`. Call `tick` ten times a second."""

    def __init__(self, outputs: Callable[[], Iterable[Output]], process_bytes: int) -> None:
        self._outputs = outputs
        self._process_bytes = process_bytes
        self._round: list[Output] = []  # those that are still to be looked at
        self._at_once = 0
        self._watched: dict[Output, _Waiting] = {}

    def tick(self, now: float) -> None:
        """Look for outputs in which something waits, and at those that are known; cut off the slowest.

        `now` is in monotonic seconds.
        """
        self._update(now)
        self._look_for_more(now)
        late_bytes = sum(waiting.late_bytes for waiting in self._watched.values())
        if late_bytes > self._process_bytes:
            self._cut_slowest(late_bytes)

    def _update(self, now: float) -> None:
        for output, waiting in list(self._watched.items()):
            waiting_bytes = output.waiting_bytes
            if waiting_bytes:
                waiting.update(now, waiting_bytes)
            else:
                del self._watched[output]

    def _look_for_more(self, now: float) -> None:
        if not self._round:
            self._round = list(self._outputs())
            self._at_once = math.ceil(len(self._round) / TICKS)
        for _ in range(min(self._at_once, len(self._round))):
            output = self._round.pop()
            waiting_bytes = output.waiting_bytes
            if waiting_bytes and output not in self._watched:
                self._watched[output] = _Waiting(now, waiting_bytes)

    def _cut_slowest(self, late_bytes: int) -> None:
        """Cut off first who sent the smallest part of what waited, of them those that have waited longest."""
        late = [pair for pair in self._watched.items() if pair[1].late_bytes]
        for output, waiting in sorted(late, key=lambda pair: (pair[1].sent_share, pair[1].since)):
            if late_bytes <= self._process_bytes:
                return
            late_bytes -= waiting.late_bytes
            del self._watched[output]
            output.cut_off()
