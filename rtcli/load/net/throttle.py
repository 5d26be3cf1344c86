"""Slow readers: a transport that is paused so that TCP holds back the rest."""

from __future__ import annotations

import asyncio


class Throttle:
    """Pauses a transport so that no more than `rate` bytes per second are read from it."""

    def __init__(self, transport: asyncio.Transport, rate: float) -> None:
        self._transport = transport
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._free_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def on_read(self, size: int) -> None:
        """Account for `size` bytes that were read."""
        now = self._loop.time()
        self._free_at = max(self._free_at, now) + size / self._rate
        if self._timer is None and self._free_at > now:
            self._transport.pause_reading()
            self._timer = self._loop.call_at(self._free_at, self._resume)

    def _resume(self) -> None:
        self._timer = None
        if self._free_at > self._loop.time():
            self._timer = self._loop.call_at(self._free_at, self._resume)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def stop(self) -> None:
        """Lift the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if not self._transport.is_closing():
                self._transport.resume_reading()
