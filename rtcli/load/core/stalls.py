"""When the event loop of a worker stood still: such time is not the server's."""

from __future__ import annotations

from collections import deque

_MIN_STALL_US = 50_000
_MAX_STALLS = 10_000  # that are remembered


class Stalls:
    """When the event loop of a worker stood still. Times are microseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._stalls: deque[tuple[int, int]] = deque(maxlen=_MAX_STALLS)
        self._due: int | None = None  # when the next probe is due

    def expect(self, due: int) -> None:
        """The loop is probed next at this time."""
        self._due = due

    def add(self, due: int, ran: int) -> None:
        """A probe that was due at one time ran at another."""
        self._due = None
        if ran - due >= _MIN_STALL_US:
            self._stalls.append((due, ran))

    def within(self, since: int, until: int) -> int:
        """For how long the loop stood still between two times; `until` may be now, before it was probed."""
        return sum(end - start for start, end in self.during(since, until))

    def during(self, since: int, until: int) -> list[tuple[int, int]]:
        """From when to when it did, between these times."""
        open_one = [] if self._due is None or until - self._due < _MIN_STALL_US else [(self._due, until)]
        parts = ((max(since, start), min(until, end)) for start, end in (*self._stalls, *open_one))
        return [(start, end) for start, end in parts if start < end]
