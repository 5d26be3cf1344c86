"""What time alone brings to a connection: heartbeats and its token's end (protocol.md, sections 2 and 3)."""

from __future__ import annotations

from enum import Enum
from math import inf


class HeartbeatAction(Enum):
    """What the heartbeat wants."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class HeartbeatTimer:
    """When to ask a peer for a sign of life, and when to give it up. Times are monotonic seconds.

    A ping every `interval_s`; `timeout_s` later either something was heard since, which sets `heard`, or that
    is a miss; after `max_misses` in a row the peer is dead. A ping that waits for its answer delays the next.
    """

    __slots__ = ("_answer_by", "_interval_s", "_max_misses", "_ping_at", "_timeout_s", "heard", "misses")

    def __init__(self, *, interval_s: float, timeout_s: float, max_misses: int, now: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._max_misses = max_misses
        self._ping_at = now + interval_s
        self._answer_by = inf
        # A flag, not a time: a loop's clock stands still within a turn, so an answer may seem as old as its
        # ping.
        self.heard = False
        self.misses = 0

    @property
    def due(self) -> float:
        """When `tick` has something to do."""
        return min(self._answer_by, self._ping_at)

    def tick(self, now: float) -> HeartbeatAction:
        """Decide what is due at `now`."""
        if now >= self._answer_by:
            self._answer_by = inf
            self.misses = 0 if self.heard else self.misses + 1
            if self.misses >= self._max_misses:
                return HeartbeatAction.DEAD
        if now >= self._ping_at:
            self._answer_by = now + self._timeout_s
            self._ping_at = now + max(self._interval_s, self._timeout_s)
            self.heard = False
            return HeartbeatAction.PING
        return HeartbeatAction.NOTHING


class Expiry(Enum):
    """How it stands with the token."""

    NOTHING = 0
    SOON = 1
    OVER = 2


class ExpiryTimer:
    """When to say that a token ends soon, and when to end the connection. Times are Unix seconds.

    `notice_s` before it expires, or at half of what is left of a shorter one; `grace_s` after it expired.
    """

    __slots__ = ("_over_at", "_soon_at", "expires_at")

    def __init__(self, expires_at: float, *, notice_s: float, grace_s: float, wall: float) -> None:
        self.expires_at = expires_at
        self._soon_at = expires_at - min(notice_s, max(expires_at - wall, 0.0) / 2)
        self._over_at = expires_at + grace_s

    @property
    def due(self) -> float:
        """When `tick` has something to do."""
        return min(self._soon_at, self._over_at)

    def tick(self, wall: float) -> Expiry:
        """Decide what is due at `wall`; `SOON` comes once."""
        if wall >= self._over_at:
            return Expiry.OVER
        if wall >= self._soon_at:
            self._soon_at = inf
            return Expiry.SOON
        return Expiry.NOTHING
