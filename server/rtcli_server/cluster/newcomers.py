"""Connections that may still turn out to be one too many of their user. Pure.

A connection is judged when its user's connections were counted over all instances. It is on probation for a
while after that: instances that the store has forgotten, or could not hear, announce theirs a moment later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection


class Newcomers:
    """The newcomers here, by user, in the order in which they came. Times are monotonic seconds."""

    def __init__(self, probation_s: float) -> None:
        self._probation_s = probation_s
        self._unjudged: dict[str, dict[str, None]] = {}
        self._judged: dict[str, dict[str, None]] = {}
        self._ends: deque[tuple[float, str, str]] = deque()  # of probations

    def add(self, user_id: str, connection_id: str) -> None:
        """Enter a connection that was opened."""
        self._unjudged.setdefault(user_id, {})[connection_id] = None

    def remove(self, user_id: str, connection_id: str) -> None:
        """Take out a connection that is closed, or about to be."""
        for newcomers in (self._unjudged, self._judged):
            _take_out(newcomers, user_id, connection_id)

    def unjudged(self, user_id: str) -> list[str]:
        """Those that were not counted with all others of their user yet."""
        return list(self._unjudged.get(user_id, ()))

    def on_probation(self, user_id: str, now: float) -> list[str]:
        """Those that were counted, but perhaps without others that were forgotten."""
        self._end_probations(now)
        return list(self._judged.get(user_id, ()))

    def judge(self, user_id: str, connection_ids: Collection[str], now: float) -> None:
        """Begin the probation of those that were counted and are still here."""
        for connection_id in connection_ids:
            if _take_out(self._unjudged, user_id, connection_id):
                self._judged.setdefault(user_id, {})[connection_id] = None
                self._ends.append((now + self._probation_s, user_id, connection_id))
        self._end_probations(now)

    def _end_probations(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, user, connection = self._ends.popleft()
            _take_out(self._judged, user, connection)


def _take_out(newcomers: dict[str, dict[str, None]], user_id: str, connection_id: str) -> bool:
    """Remove one, and a user who has none left; return whether it was there."""
    of_user = newcomers.get(user_id)
    if of_user is None or connection_id not in of_user:
        return False
    del of_user[connection_id]
    if not of_user:
        del newcomers[user_id]
    return True
