"""A token bucket: a rate of messages per second in the long run, and a burst on top."""

from __future__ import annotations


class TokenBucket:
    """Holds up to `burst` tokens (at least 1) and gains `rate_per_s`. Full at first. Times are in seconds.

    `take` is called for every message, so the state is one number: the time when the bucket is full again
    (the "virtual scheduling" of GCRA, ITU-T I.371).
    """

    __slots__ = ("__weakref__", "_full_at", "_interval", "_slack")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._interval = 1.0 / rate_per_s
        # A thousandth of a token more, so that rounding never denies the last token of a burst.
        self._slack = (max(burst, 1.0) - 0.999) * self._interval
        self._full_at = now

    def take(self, now: float) -> float:
        """Take one token and return 0, or take none and return in how many seconds there will be one."""
        full_at = self._full_at
        if full_at <= now:
            self._full_at = now + self._interval
            return 0.0
        wait = full_at - now - self._slack
        if wait > 0.0:
            return wait
        self._full_at = full_at + self._interval
        return 0.0

    def is_full(self, now: float) -> bool:
        """Whether it behaves like a new bucket."""
        return self._full_at <= now
