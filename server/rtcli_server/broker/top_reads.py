"""Reads of nothing but tops, made together: each new connection has one, and each join.

Handing one read to another thread and back costs several times what SQLite does for it. So those that arrive
while some are made are the next ones together, as with publishes; and where several arrive at a time, the
next ones are gathered for a moment. One after the other, each is made at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from rtcli.protocol.position import Position
from rtcli_server.broker.base import BrokerUnavailableError, refuse

TopOutcome = Position | BrokerUnavailableError
ReadTops = Callable[[Sequence[str]], "asyncio.Future[list[TopOutcome]]"]
GATHER_S = 0.005  # after a read of several, until the next one
MAX_AT_ONCE = 500  # other reads and the end of the log wait for no more


class TopReads:
    """The tops that wait to be read. `read` does so on another thread; it raises when the log is closed."""

    def __init__(self, read: ReadTops) -> None:
        self._read = read
        self._waiting: list[tuple[str, asyncio.Future[Position]]] = []
        self._is_reading = False

    def top(self, channel: str) -> asyncio.Future[Position]:
        """Read the top of a channel. Fails with BrokerUnavailableError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Position] = loop.create_future()
        self._waiting.append((channel, future))
        if not self._is_reading:
            self._is_reading = True
            loop.call_soon(self._next)  # with those of this turn
        return future

    def _next(self) -> None:
        if not self._waiting:
            self._is_reading = False
            return
        try:
            job = self._read([channel for channel, _ in self._waiting[:MAX_AT_ONCE]])
        except RuntimeError:  # its thread has ended
            closed, self._waiting, self._is_reading = self._waiting, [], False
            for _, future in closed:
                refuse(future, "the log is closed")
            return
        now, self._waiting = self._waiting[:MAX_AT_ONCE], self._waiting[MAX_AT_ONCE:]
        job.add_done_callback(lambda job: self._done(now, job))

    def _done(
        self, now: list[tuple[str, asyncio.Future[Position]]], job: asyncio.Future[list[TopOutcome]]
    ) -> None:
        # First of all, so that whatever is wrong with this read, the next one is made.
        loop = asyncio.get_running_loop()
        loop.call_later(GATHER_S, self._next) if len(now) > 1 else loop.call_soon(self._next)
        error = asyncio.CancelledError() if job.cancelled() else job.exception()
        outcomes = [BrokerUnavailableError("the log cannot be read")] * len(now) if error else job.result()
        for (_, future), outcome in zip(now, outcomes, strict=True):
            if isinstance(outcome, BrokerUnavailableError):
                refuse(future, outcome)
            elif not future.done():
                future.set_result(outcome)
