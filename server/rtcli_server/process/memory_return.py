"""Gives memory back to the machine after connections have ended.

glibc's allocator keeps what was freed in the middle of its heap: after a flood, a process would stay as large
as it was at the peak.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from rtcli_server.timing.timer_wheel import TimerWheel

ENDED = 16  # connections: fewer have not held much
WORTH_BYTES = 8 * 1024 * 1024
INTERVAL_S = 2.0
MAX_INTERVAL_S = 60.0  # while little comes back: it takes some milliseconds
_STATM = Path("/proc/self/statm")


class MemoryReturn:
    """A timer that calls `give_back` when enough connections have ended, seldom where that frees little.

    `ended` returns the number of connections that have ended so far; `resident_bytes` the process' memory.
    """

    def __init__(
        self,
        wheel: TimerWheel,
        *,
        ended: Callable[[], int],
        give_back: Callable[[], None],
        resident_bytes: Callable[[], int],
    ) -> None:
        self._wheel = wheel
        self._ended = ended
        self._give_back = give_back
        self._resident_bytes = resident_bytes
        self._ended_before = 0
        self._interval_s = INTERVAL_S
        self.slot = 0

    def start(self, now: float) -> None:
        """Begin; `now` is in monotonic seconds."""
        self._wheel.schedule(self, now + self._interval_s)

    def on_timer(self, now: float) -> None:
        """Give memory back if connections have ended."""
        ended = self._ended()
        if ended - self._ended_before >= ENDED:
            self._ended_before = ended
            before = self._resident_bytes()
            self._give_back()
            worth = before - self._resident_bytes() >= WORTH_BYTES
            self._interval_s = INTERVAL_S if worth else min(2 * self._interval_s, MAX_INTERVAL_S)
        self._wheel.schedule(self, now + self._interval_s)


def resident_bytes() -> int:
    """The memory of this process; 0 where that is not known."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def trim_heap() -> None:
    """Return free pages of the C heap (malloc_trim(3)), where the C library can do that."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
