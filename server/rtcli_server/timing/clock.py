"""The two clocks of a server, together so that tests can move them."""

from __future__ import annotations

import time
from collections.abc import Callable

from rtcli.protocol.messages import format_timestamp_ms


class Clock:
    """`now()` is monotonic seconds (the loop's clock), `wall()` Unix seconds."""

    def __init__(self, now: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        self.now = now
        self.wall = wall
        self._millisecond = -1
        self._timestamp = ""

    def wall_ms(self) -> int:
        """The Unix time in milliseconds."""
        return int(self.wall() * 1000)

    def timestamp(self) -> str:
        """The current time as messages carry it."""
        return self.timestamp_of(self.wall_ms())

    def timestamp_of(self, time_ms: int) -> str:
        """A Unix time in milliseconds as messages carry it; formatted once per millisecond."""
        if time_ms != self._millisecond:
            self._millisecond = time_ms
            self._timestamp = format_timestamp_ms(time_ms)
        return self._timestamp
