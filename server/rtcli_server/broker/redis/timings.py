"""The waits of the Redis log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTimings:
    """Every wait of the Redis log. Tests shorten them."""

    connect_s: float = 2.0  # to connect and to be let in
    request_s: float = 2.0  # from a request to its answer, the wait for a connection included
    first_retry_s: float = 0.05  # before the second attempt to connect; doubles up to `max_retry_s`
    max_retry_s: float = 1.0
    check_s: float = 40.0  # each followed channel is compared with the stream about that often
    probe_s: float = 0.7  # between two probes, which find out whether publishing and delivery work
    delivery_s: float = 2.0  # how long a probe may take from its publication until it arrives
    coordinator_ttl_s: float = 600.0  # how long Redis keeps what an instance has said of rooms and users
    unsubscribe_s: float = 2.0  # a channel without members is kept subscribed this long, against churn

    def retry_s(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after the `attempt`-th failure (from 1); `jitter` is in [0, 1)."""
        delay: float = self.first_retry_s * 2 ** min(attempt - 1, 20)
        return min(self.max_retry_s, delay) * (0.5 + jitter / 2)
