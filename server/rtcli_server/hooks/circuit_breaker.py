"""Does not ask who has failed several times in a row: first for a second, at last for half a minute. Pure."""

from __future__ import annotations

THRESHOLD = 5  # failures in a row
FIRST_S, MAX_S = 1.0, 30.0


class CircuitBreaker:
    """Closed as long as calls succeed. Open, it lets one call through at the end of each pause.

    Times are monotonic seconds. Each call that `allows` admits is followed by `succeeded`, `failed`
    or `given_up`.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._pause_s = FIRST_S
        self._open_until: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial."""
        return self._open_until is not None

    def allows(self, now: float) -> bool:
        """Whether to make a call now."""
        if self._open_until is None:
            return True
        if self._trying or now < self._open_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Record a call that was answered."""
        self._failures = 0
        self._pause_s = FIRST_S
        self._open_until = None
        self._trying = False

    def failed(self, now: float) -> None:
        """Record a call that was not."""
        self._failures += 1
        if self._trying:
            self._pause_s = min(2 * self._pause_s, MAX_S)
        if self._trying or (self._open_until is None and self._failures >= THRESHOLD):
            self._open_until = now + self._pause_s
        self._trying = False

    def given_up(self) -> None:
        """Record a call whose caller went away: it says nothing, and another may be the trial."""
        self._trying = False
