"""How long a connection may take: for a whole request, between two, and to end."""

from __future__ import annotations

import asyncio

from rtcli_server.transports.http.options import HttpOptions


class Patience:
    """The timer of one connection."""

    __slots__ = ("_is_idle", "_is_reading", "_options", "_transport", "slot")

    def __init__(self, options: HttpOptions, transport: asyncio.Transport) -> None:
        self._options = options
        self._transport = transport
        self._is_reading = False
        self._is_idle = False
        self.slot = 0

    def reading(self) -> None:
        """A request is being read: its deadline began with its first byte."""
        if not self._is_reading:
            self._start(self._options.deadline_s)
            self._is_reading = True

    def idle(self) -> None:
        """Nothing is asked, and nothing is due."""
        self._start(self._options.idle_s)
        self._is_idle = True

    def unlimited(self) -> None:
        """An answer is due, or the connection is closed or another's."""
        self._is_reading = self._is_idle = False
        self._options.wheel.cancel(self)

    def close(self) -> None:
        """Close the transport when the client has read its answers: it has a deadline for that too."""
        self._start(self._options.answers.deadline_s)
        self._transport.close()

    def _start(self, time_s: float) -> None:
        self._is_reading = self._is_idle = False
        self._options.wheel.schedule(self, self._options.clock.now() + time_s)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Close an idle connection. Drop a client that is late with a request, or in reading its answers."""
        if self._is_idle:
            self.close()
        else:
            self._transport.abort()
