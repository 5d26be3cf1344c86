"""Requests to the coordinator, one at a time per key: what changes during a request goes into the next one.

So a thousand changes of one room cost a few requests. What could not be sent is kept until it can be.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from rtcli_server.broker import BrokerUnavailableError
from rtcli_server.timing.pacing import batched
from rtcli_server.timing.tasks import Spawn

KEYS_AT_ONCE = 50  # announced again at the same time
PAUSE_S = 0.025  # and the pause after them: 2 000 keys a second leave Redis its time for the log


class Exchange(ABC):
    """What is to be sent for one key."""

    __slots__ = ("running",)

    def __init__(self) -> None:
        self.running = False

    @property
    @abstractmethod
    def pending(self) -> bool:
        """Whether there is something to send."""

    @abstractmethod
    def fail(self, error: BrokerUnavailableError) -> None:
        """A request failed. What is pending after this is sent when everything is announced again."""


E = TypeVar("E", bound=Exchange)


class Exchanges(Generic[E]):
    """The exchanges of all keys. `send(key, exchange)` makes one request with what is pending.

    `send` raises BrokerUnavailableError, after putting back what has to be sent again.
    """

    def __init__(
        self, new: Callable[[], E], send: Callable[[str, E], Awaitable[None]], *, spawn: Spawn
    ) -> None:
        self._new = new
        self._send = send
        self._spawn = spawn
        self._exchanges: dict[str, E] = {}

    def of(self, key: str) -> E:
        """The exchange of a key, to put something into it. `start` has to follow."""
        exchange = self._exchanges.get(key)
        if exchange is None:
            exchange = self._exchanges[key] = self._new()
        return exchange

    def start(self, key: str) -> None:
        """Send what is pending for a key, after the request that is under way."""
        exchange = self.of(key)
        if not exchange.running:
            exchange.running = True
            self._spawn(self._run(key, exchange))

    async def _run(self, key: str, exchange: E) -> None:
        try:
            while exchange.pending:
                await self._send(key, exchange)
        except BrokerUnavailableError as error:
            exchange.fail(error)
        finally:
            exchange.running = False
            if not exchange.pending:
                self._exchanges.pop(key, None)

    async def reannounce(self, keys: Iterable[str], prepare: Callable[[str, E], None]) -> None:
        """Send again for `keys`, and for those with something unsent: `prepare` puts in what holds here."""
        for batch in batched({*keys, *self._exchanges}, KEYS_AT_ONCE):
            for key in batch:
                prepare(key, self.of(key))
                self.start(key)
            await asyncio.sleep(PAUSE_S)
