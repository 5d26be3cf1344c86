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
GOOD_S = 5.0  # after so long, a connection has not failed at once
FLOOR_S = 1.0  # the shortest wait that a server can ask for after a connection that was not good


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

    Delays begin anew only after a connection that was good for `GOOD_S`: a server that accepts and closes
    gets longer ones, and no wish of its own makes them shorter than `floor_s`.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        started: float,
        wait_s: float | None = None,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        floor_s: float = FLOOR_S,
    ) -> None:
        self._rng = rng
        self._base_s = base_s
        self._cap_s = cap_s
        self._floor_s = floor_s
        self._deadline = started + (wait_s or 0.0)
        self._delays = self._fresh()
        self._opened_at: float | None = None  # since when there is a connection
        self._was_bad = False  # the last connection was short
        self.attempt = 0  # attempts since the connection was lost
        self.ever_connected = False

    def _fresh(self) -> Iterator[float]:
        return full_jitter(self._rng, base_s=self._base_s, cap_s=self._cap_s)

    def opened(self, now: float) -> None:
        """The connection is open. If it stays so for `GOOD_S`, delays start short again after its loss."""
        self.ever_connected = True
        self.attempt = 0
        self._opened_at = now

    def answered(self) -> None:
        """The server has done what it was asked for: the next failure is a new one."""
        self.ever_connected = True
        self.attempt = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._was_bad = False
        self._delays = self._fresh()

    def delay(self, failure: Failure, *, now: float) -> float:
        """Seconds to wait before the next attempt. Raises the failure's error to give up."""
        if not failure.retry:
            raise failure.error
        self._judge(now)
        self.attempt += 1
        delay = next(self._delays)
        if failure.retry_after_s is not None and self.attempt == 1:
            wish = max(failure.retry_after_s, self._floor_s) if self._was_bad else failure.retry_after_s
            delay = min(wish, MAX_RETRY_AFTER_S)
        if self.ever_connected:
            return delay
        left = self._deadline - now
        if left <= 0:
            raise failure.error
        # While waiting for a server to start, try often; the last attempt is at the deadline.
        return min(delay, left, 1.0)

    def _judge(self, now: float) -> None:
        """Judge the connection that was lost, if there was one."""
        opened_at, self._opened_at = self._opened_at, None
        if opened_at is None:
            return
        if now - opened_at >= GOOD_S:
            self._begin_anew()
        else:
            self._was_bad = True
