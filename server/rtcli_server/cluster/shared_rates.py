"""One user's message rate over all instances.

Each instance takes tokens from a bucket of its own, so no message waits for the store. About twice a second
it reports what it took, and fills its bucket by what all instances together have left.
"""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from rtcli_server.broker import BrokerUnavailableError, Coordinator
from rtcli_server.limits.token_bucket import TokenBucket
from rtcli_server.limits.user_rates import UserRates
from rtcli_server.timing.tasks import Spawn


class CountedBucket(TokenBucket):
    """A user's bucket on one of several instances: it counts what was taken since the last report.

    `on_report_due(bucket)` is called once `report_at` tokens were taken.
    """

    __slots__ = ("_on_report_due", "_report_at", "_taken", "user_id")

    def __init__(
        self,
        user_id: str,
        rate_per_s: float,
        burst: float,
        now: float,
        *,
        report_at: int,
        on_report_due: Callable[[CountedBucket], None],
    ) -> None:
        super().__init__(rate_per_s, burst, now)
        self.user_id = user_id
        self._taken = 0
        self._report_at = report_at
        self._on_report_due = on_report_due

    @override
    def take(self, now: float) -> float:
        wait_s = super().take(now)
        if not wait_s:
            self._taken += 1
            if self._taken == self._report_at:
                self._on_report_due(self)
        return wait_s

    def begin_report(self) -> int:
        """Return the number of tokens to report now, and count from 0 again."""
        count, self._taken = self._taken, 0
        return count

    def report_failed(self, count: int) -> None:
        """Reporting failed; add the count back."""
        self._taken += count
        if self._taken >= self._report_at:
            self._on_report_due(self)

    def reported(self, now: float, full_in_s: float) -> None:
        """The common bucket will be full in `full_in_s`; what was taken during the report comes on top."""
        self._full_at = now + full_in_s + self._taken * self._interval


class SharedRates(UserRates):
    """Rates that all instances share through the store."""

    def __init__(self, rate_per_s: float, burst: float, coordinator: Coordinator, *, spawn: Spawn) -> None:
        super().__init__(rate_per_s, burst)
        self._interval_s = 1 / rate_per_s
        # A user who takes fewer tokens between two reports is reported when they have added up.
        self._report_at = max(1, int(rate_per_s / 10))
        self._coordinator = coordinator
        self._spawn = spawn
        self._due: list[CountedBucket] = []

    @override
    def _new_bucket(self, user_id: str, now: float) -> CountedBucket:
        return CountedBucket(
            user_id,
            self._rate_per_s,
            self._burst,
            now,
            report_at=self._report_at,
            on_report_due=self._due.append,
        )

    def report(self, now: Callable[[], float]) -> None:
        """Start to report what was taken, and to learn what other instances took."""
        due, self._due[:] = list(self._due), []
        for bucket in due:
            self._spawn(self._report(bucket, now))

    async def _report(self, bucket: CountedBucket, now: Callable[[], float]) -> None:
        count = bucket.begin_report()
        try:
            full_in_s = await self._coordinator.take_tokens(bucket.user_id, count, self._interval_s)
        except BrokerUnavailableError:
            bucket.report_failed(count)
        else:
            bucket.reported(now(), full_in_s)
