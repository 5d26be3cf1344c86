"""The connection for pub/sub: it subscribes, reads, and finds out when no messages come through.

Pub/sub may lose messages without any sign: after CLIENT KILL, after this reader was too slow, when the
connection is alive but nothing comes through. So every confirmation of a subscription is reported, also the
repeated ones after a reconnect, and whoever follows the channel compares with the stream. And the listener
subscribes to a channel of its own, to which the other connection regularly publishes a probe (probe.py).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostConnectionError

from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.causes import cause_of
from rtcli_server.broker.redis.link import pack
from rtcli_server.broker.redis.reconnecting import FAILURES, Connect, keep_connected
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.timing.pacing import batched

CHANNELS_PER_COMMAND = 500


class PubSubListener:
    """Keeps the wanted pub/sub channels subscribed; all names are those of Redis, as bytes.

    `on_message(name, payload)` is called for each message of a subscribed channel, `on_subscribed(name)` each
    time Redis has confirmed that messages come from now on, `on_probe(payload)` for each message of the
    channel `own`.
    """

    def __init__(
        self,
        connect: Connect,
        timings: RedisTimings,
        health: StoreHealth,
        *,
        own: bytes,
        on_probe: Callable[[bytes], None],
        on_message: Callable[[bytes, bytes], None],
        on_subscribed: Callable[[bytes], None],
    ) -> None:
        self._connect = connect
        self._timings = timings
        self._health = health
        self._own = own
        self._on_probe = on_probe
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._wanted: set[bytes] = set()
        self._requested: set[bytes] = set()  # on this connection
        self._confirmed: set[bytes] = set()
        self._wake = asyncio.Event()
        self._give_up = asyncio.Event()
        self.listening = asyncio.Event()  # the channel `own` is subscribed

    def subscribe(self, name: bytes) -> None:
        """Subscribe to a channel; if that is so already, confirm it at once."""
        self._wanted.add(name)
        if name in self._confirmed:
            self._on_subscribed(name)
        else:
            self._wake.set()

    def is_subscribed(self, name: bytes) -> bool:
        """Whether Redis has confirmed a subscription on this connection."""
        return name in self._confirmed

    def unsubscribe(self, name: bytes) -> None:
        """Mark a channel as unwanted; `drop_unwanted` tells Redis."""
        self._wanted.discard(name)

    def drop_unwanted(self) -> None:
        """Unsubscribe from what is not wanted any more. Called at intervals: rooms come and go quickly."""
        if not self._confirmed <= self._wanted | {self._own}:
            self._wake.set()

    def reconnect(self) -> None:
        """Replace this connection, through which no messages come."""
        self._give_up.set()

    async def run(self) -> None:
        """Connect, subscribe and read; reconnect when that ends; until cancelled."""
        await keep_connected(self._connect, self._use, self._timings, self._health)

    async def _use(self, connection: AbstractConnection) -> bool:
        """Subscribe and read until the connection ends; return whether anything was subscribed."""
        self._requested.clear()
        self._confirmed.clear()
        self._give_up.clear()
        self._wake.set()
        works = (self._write(connection), self._read(connection), self._give_up.wait())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await connection.disconnect(nowait=True)
            subscribed = self.listening.is_set()
            self._confirmed.clear()
            self.listening.clear()
        error = next((result for result in results if isinstance(result, Exception)), None)
        if error is not None and not isinstance(error, FAILURES):
            raise error
        name, text = cause_of(error or LostConnectionError("no messages came through it"))
        self._health.failed(name, f"the connection for messages was lost: {text}")
        return subscribed

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted = self._wanted | {self._own}
            # Only confirmed ones, so that at most one confirmation per channel is on its way.
            unwanted = self._confirmed - wanted
            missing = wanted - self._requested
            self._confirmed -= unwanted
            self._requested -= unwanted
            self._requested |= missing
            commands = [*_commands(b"UNSUBSCRIBE", unwanted), *_commands(b"SUBSCRIBE", missing)]
            if commands:
                await connection.send_packed_command([b"".join(commands)])

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            answer = await connection.read_response(timeout=math.inf)
            kind, name, payload = answer
            if kind == b"message":
                if name == self._own:
                    self._on_probe(payload)
                else:
                    self._on_message(name, payload)
            elif kind == b"subscribe" and name in self._requested:
                self._confirmed.add(name)
                if name == self._own:
                    self.listening.set()
                elif name in self._wanted:
                    self._on_subscribed(name)


def _commands(verb: bytes, names: Iterable[bytes]) -> list[bytes]:
    return [pack([verb, *batch]) for batch in batched(names, CHANNELS_PER_COMMAND)]
