"""When heartbeats and the expiry of the token are due (protocol.md, sections 2 and 3)."""

from __future__ import annotations

from enum import Enum
from math import inf

from rtcli_server.session.settings import HeartbeatMode, SessionSettings


class HeartbeatAction(Enum):
    """What to do for the heartbeat."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class HeartbeatTimer:
    """When to ping a peer, and when to take it for dead. Times are monotonic seconds.

    A ping is due every `interval_s`. A sign of life sets `heard`; when it is still unset `timeout_s` after a
    ping, that is a miss; after `max_misses` in a row the peer is dead. No ping is sent while another waits
    for its answer.
    """

    __slots__ = ("_answer_by", "_max_misses", "_ping_at", "_timeout_s", "heard", "interval_s", "misses")

    def __init__(self, *, interval_s: float, timeout_s: float, max_misses: int, now: float) -> None:
        self.interval_s = interval_s
        self._timeout_s = timeout_s
        self._max_misses = max_misses
        self._ping_at = now + interval_s
        self._answer_by = inf
        # A flag, not a time: the loop's clock does not advance within a turn, so an answer may seem as old as
        # its ping.
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
            self._ping_at = now + max(self.interval_s, self._timeout_s)
            self.heard = False
            return HeartbeatAction.PING
        return HeartbeatAction.NOTHING


def new_heartbeat_timer(settings: SessionSettings, mode: HeartbeatMode, now: float) -> HeartbeatTimer:
    """Make the timer of one connection."""
    s = settings
    if mode is HeartbeatMode.SERVER:
        interval_s, timeout_s, max_misses = s.ping_interval_s, s.pong_timeout_s, s.max_misses
    else:
        interval_s, timeout_s, max_misses = s.rfc_ping_interval_s, s.rfc_ping_timeout_s, 1
    return HeartbeatTimer(interval_s=interval_s, timeout_s=timeout_s, max_misses=max_misses, now=now)


class Expiry(Enum):
    """What to do about the token."""

    NOTHING = 0
    SOON = 1
    OVER = 2


class ExpiryTimer:
    """When to warn that a token expires, and when to close the connection. Times are Unix seconds.

    The warning comes `notice_s` before the expiry, or halfway to it for a shorter token; the close comes
    `grace_s` after the expiry.
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
