"""When to try again: full jitter, the server's own wish first. No clock and no randomness of its own.

Full jitter, uniform between 0 and the exponentially growing bound, spreads a crowd of clients that lost the
same server best: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from rtcli.client.failures import Failure

BASE_S = 0.5
CAP_S = 30.0
MAX_RETRY_AFTER_S = 3600.0  # a server that asks for more is not followed


def full_jitter(rng: random.Random, *, base_s: float = BASE_S, cap_s: float = CAP_S) -> Iterator[float]:
    """Yield delays in seconds for ever: each uniform in [0, min(cap, base · 2ⁿ)]."""
    bound = base_s
    while True:
        yield rng.uniform(0.0, min(cap_s, bound))
        bound = min(cap_s, bound * 2)


class Reconnect:
    """Decides after each failure how long to wait, or that it is over.

    Before the first success a failure ends it at once, unless `wait_s` allows to keep trying that long.
    After it, only what trying again cannot mend ends it.
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
        self.attempt = 0  # tries since the connection was lost
        self.ever_connected = False

    def _fresh(self) -> Iterator[float]:
        return full_jitter(self._rng, base_s=self._base_s, cap_s=self._cap_s)

    def connected(self) -> None:
        """The connection stands: the next loss starts from short delays again."""
        self.ever_connected = True
        self.attempt = 0
        self._delays = self._fresh()

    def delay(self, failure: Failure, *, now: float) -> float:
        """Seconds to wait before the next try. Raises the failure's error when there is to be none."""
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
        # While waiting for a server to start, look often; the last look is at the deadline.
        return min(delay, left, 1.0)
