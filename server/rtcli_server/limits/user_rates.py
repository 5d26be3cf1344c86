"""The message rate of each user, over all of the user's connections and requests."""

from __future__ import annotations

from weakref import WeakValueDictionary

from rtcli_server.limits.token_bucket import TokenBucket

SWEEP_AT = 1_024  # users with a bucket


class UserRates:
    """One token bucket per user. Times are monotonic seconds.

    A bucket lives as long as a connection holds it, or as long as it differs from a new one.
    """

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._held: WeakValueDictionary[str, TokenBucket] = WeakValueDictionary()
        self._kept: dict[str, TokenBucket] = {}
        self._sweep_at = SWEEP_AT

    def of(self, user_id: str, now: float) -> TokenBucket:
        """The user's bucket."""
        bucket = self._held.get(user_id)
        if bucket is None:
            if len(self._kept) >= self._sweep_at:
                self._sweep(now)
            bucket = self._kept[user_id] = self._held[user_id] = self._new_bucket(user_id, now)
        return bucket

    def _new_bucket(self, user_id: str, now: float) -> TokenBucket:  # noqa: ARG002 - shared rates need the user
        return TokenBucket(self._rate_per_s, self._burst, now)

    def take(self, user_id: str, now: float) -> float:
        """Take one of the user's tokens and return 0; or return in how many seconds there will be one."""
        return self.of(user_id, now).take(now)

    def _sweep(self, now: float) -> None:
        """Drop full buckets. The next sweep is due when the number of those that are left has doubled."""
        self._kept = {user: bucket for user, bucket in self._kept.items() if not bucket.is_full(now)}
        self._sweep_at = max(SWEEP_AT, 2 * len(self._kept))
