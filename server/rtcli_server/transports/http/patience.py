"""How long a connection may take: for a whole request, and between two."""

from __future__ import annotations

import asyncio

from rtcli_server.transports.http.options import HttpOptions


class Patience:
    """The timer of one connection."""

    __slots__ = ("_is_reading", "_options", "_transport", "slot")

    def __init__(self, options: HttpOptions, transport: asyncio.Transport) -> None:
        self._options = options
        self._transport = transport
        self._is_reading = False
        self.slot = 0

    def reading(self) -> None:
        """A request is being read: its deadline began with its first byte."""
        if not self._is_reading:
            self._is_reading = True
            self._options.wheel.schedule(self, self._options.clock.now() + self._options.deadline_s)

    def idle(self) -> None:
        """Nothing is asked, and nothing is due."""
        self._is_reading = False
        self._options.wheel.schedule(self, self._options.clock.now() + self._options.idle_s)

    def unlimited(self) -> None:
        """An answer is due, or the connection is closed or another's."""
        self._is_reading = False
        self._options.wheel.cancel(self)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Drop a client whose request is not complete in time; close an idle connection."""
        if self._is_reading:
            self._transport.abort()
        else:
            self._transport.close()
