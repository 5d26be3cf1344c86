"""Finds out all the time whether a publish would be taken and delivered: by publishing.

A probe is a publication like any other (the same script, with the same rights, on keys of every node) to a
pub/sub channel of this instance's own. Redis takes it or says why not; then it arrives, or the connection for
messages is deaf although it looks alive, and is replaced.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable

from redis.exceptions import AskError, TryAgainError

from rtcli_server.broker.base import BrokerUnavailableError
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.causes import CONNECTION, Cause, refusal
from rtcli_server.broker.redis.link import Link
from rtcli_server.broker.redis.pubsub_listener import PubSubListener
from rtcli_server.broker.redis.scripts import LogScripts
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.wire import Names, parse_answer

_REDIRECTIONS = (AskError, TryAgainError)  # MovedError is an AskError
_NOT_SUBSCRIBED = Cause(CONNECTION, "there is no connection for messages")
_DEAF = Cause("messages", "messages do not arrive")


class Probe:
    """Publishes a probe to each node every `probe_s`; `health` is told how it went.

    `link()` carries the requests; `own` is the pub/sub channel whose messages `arrived` must be given.
    """

    def __init__(
        self,
        names: Names,
        scripts: LogScripts,
        link: Callable[[], Link],
        health: StoreHealth,
        timings: RedisTimings,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._names = names
        self._scripts = scripts
        self._link = link
        self._health = health
        self._timings = timings
        self._now_ms = now_ms
        self._key = uuid.uuid4().hex
        self._number = 0
        self._awaited: dict[bytes, asyncio.Future[None]] = {}
        self.own = names.probe(self._key)

    def arrived(self, payload: bytes) -> None:
        """Take a message of the channel `own`."""
        future = self._awaited.get(payload.rpartition(b"\n")[2])
        if future is not None and not future.done():
            future.set_result(None)

    async def run(self, listener: PubSubListener) -> None:
        """Probe until cancelled."""
        while True:
            await self._probe_all(listener)
            await asyncio.sleep(self._timings.probe_s * (0.8 + random.random() / 5))  # noqa: S311 - jitter

    async def _probe_all(self, listener: PubSubListener) -> None:
        tags = dict(self._link().probe_tags())
        causes = await asyncio.gather(*[self._probe(tag, listener) for tag in tags])
        works = bool(tags) and self._link().connected and listener.listening.is_set()
        for node, cause in zip(tags.values(), causes, strict=True):
            if cause is not None:
                works = False
                self._tell(cause, f" ({node})" if node else "")
        if works:
            self._health.worked()

    def _tell(self, cause: Cause, where: str) -> None:
        if cause.name == CONNECTION:
            self._health.symptom(*cause)  # those who connect tell why they cannot
        else:
            self._health.failed(cause.name + where, cause.text + where)

    async def _probe(self, tag: str, listener: PubSubListener) -> Cause | None:
        """Return why a probe was not taken, or did not arrive."""
        self._number += 1
        number = b"%d" % self._number
        arrival = self._awaited[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timings.delivery_s):
                await listener.listening.wait()
            await self._publish(tag, number)
            async with asyncio.timeout(self._timings.delivery_s):
                await arrival
        except BrokerUnavailableError as error:
            return refusal(error)
        except TimeoutError:
            if not listener.listening.is_set():
                return _NOT_SUBSCRIBED
            listener.reconnect()
            return _DEAF
        finally:
            del self._awaited[number]
        return None

    async def _publish(self, tag: str, number: bytes) -> None:
        keys = self._names.keys(tag, self._key)
        packed = self._scripts.probe(keys, self.own, data=number, time_ms=self._now_ms())
        try:
            await self._link().request(packed, parse_answer, keys[0])
        except BrokerUnavailableError as error:
            if not isinstance(error.__cause__, _REDIRECTIONS):
                raise
            # The slot of these keys is just moving to another node, which says nothing about the nodes.
            await asyncio.sleep(self._timings.first_retry_s * 4)
            await self._link().request(packed, parse_answer, keys[0])
