"""When to try again: after the delay that the server asked for, then with full jitter.

Time and randomness are arguments.

Full jitter is uniform between 0 and an exponentially growing bound. It spreads the clients of a lost server
best: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from rtcli.client.failures import Failure

BASE_S = 0.5
CAP_S = 30.0
MAX_RETRY_AFTER_S = 3600.0  # longer waits are cut to this


def full_jitter(rng: random.Random, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> Iterator[float]:
    """Yield delays in seconds, without end: each uniform in [0, min(cap, base · 2ⁿ)]."""
    bound = base_s
    while True:
        yield rng.uniform(0.0, min(cap_s, bound))
        bound = min(cap_s, bound * 2)


class Reconnect:
    """Decides after each failure how long to wait, or to give up.

    Before the first connection, it gives up at the first failure, or keeps trying for `wait_s` seconds. After
    that, it gives up only when trying again cannot help.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        started: float,
        wait_s: float | None = None,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
    ) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self._deadline = started + (wait_s or 0.0)
        self._delays = self._fresh()
        self.attempt = 0  # attempts since the connection was lost
        self.ever_connected = False

    def _fresh(self) -> Iterator[float]:
        return full_jitter(self._rng, base_s=self._base_s, cap_s=self._cap_s)

    def connected(self) -> None:
        """The connection is open: after the next loss, delays start short again."""
        self.ever_connected = True
        self.attempt = 0
        self._delays = self._fresh()

    def delay(self, failure: Failure, *, now: float) -> float:
        """Seconds to wait before the next attempt. Raises the failure's error to give up."""
        if not failure.retry:
            raise failure.error
        self.attempt += 1
        delay = next(self._delays)
        if failure.retry_after_s is not None and self.attempt == 1:
            delay = min(failure.retry_after_s, MAX_RETRY_AFTER_S)
        if self.ever_connected:
            return delay
        left = self._deadline - now
        if left <= 0:
            raise failure.error
        # While waiting for a server to start, try often; the last attempt is at the deadline.
        return min(delay, left, 1.0)
