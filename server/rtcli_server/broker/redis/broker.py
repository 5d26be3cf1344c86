"""The log in Redis (or Valkey), shared by any number of instances.

Theory of operation. A publish is one script: dedupe, epoch, offset, append to the channel's stream, publish
on the channel's pub/sub channel. The stream is the truth, pub/sub is for speed. Each instance subscribes to
the channels that it has members in and follows each by offset (redis_follower.py): whatever it sees missing
it reads from the stream. It looks after a resubscription, and at each followed channel every 40 s. Two
connections: one carries requests, pipelined (redis_link.py), one only listens (redis_subscriber.py).

What an acknowledged publication survives is what Redis is configured for. When Redis lost its latest writes
and an instance had seen them, the channel gets a new epoch: no position is given twice within one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from typing import Any

from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.broker.base import (
    MAX_PAGE,
    BrokerUnavailableError,
    Deliver,
    HistoryPage,
    Published,
    ReportLost,
    Retention,
    guarded,
)
from rtcli_server.broker.redis.coordinator import RedisCoordinator
from rtcli_server.broker.redis.link import Requests, pack
from rtcli_server.broker.redis.scripts import Scripts
from rtcli_server.broker.redis.subscriber import Subscriber
from rtcli_server.broker.redis.target import Target
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.tracker import ChannelTracker
from rtcli_server.broker.redis.wire import (
    ForeignDataError,
    Names,
    offset_of,
    parse_answer,
    parse_entry,
    parse_page,
)

_log = logging.getLogger(__name__)


class RedisBroker:
    """The log of a deployment in one Redis. Implements `Broker`."""

    def __init__(
        self,
        target: Target,
        retention: Retention,
        *,
        prefix: str,
        instance_id: str,
        timings: RedisTimings,
        now_ms: Callable[[], int],
    ) -> None:
        self._target = target
        self._max_age_ms = retention.max_age_ms
        self._timings = timings
        self._now_ms = now_ms
        self._names = Names(prefix)
        # Being read keeps a channel's state alive, and each followed one is read every `check_s`.
        meta_ttl_ms = max(2 * retention.max_age_ms, int(5_000 * timings.check_s))
        self._scripts = Scripts(retention, meta_ttl_ms=meta_ttl_ms)
        self._tracker = ChannelTracker(self._names, timings, read=self._read, skip=self._skip)
        self.coordinator = RedisCoordinator(
            self._names,
            lambda: self._link,
            self._tracker.known,
            instance_id=instance_id,
            ttl_s=timings.coordinator_ttl_s,
        )
        self._tracker.on_notification = self.coordinator.heard
        self._canary = self._names.canary(uuid.uuid4().hex)
        self._subscriber = Subscriber(
            target.connect, timings, self._canary, self._tracker.on_message, self._tracker.on_subscribed
        )
        self._hearing = False
        self._closed = asyncio.Event()
        self._started: Requests | None = None
        self.skipped = 0  # how many foreign messages and entries were met

    @property
    def _link(self) -> Requests:
        if self._started is None:
            self._started = self._target.open(
                self._timings, [*self._scripts.texts, *self.coordinator.scripts.texts]
            )
        return self._started

    def publish(
        self, channel: str, event: str, data: bytes, *, key: str | None = None, time_ms: int
    ) -> asyncio.Future[Published]:
        """Send together with everything else that this turn of the loop publishes. See `Broker.publish`."""
        keys = self._names.keys(channel, key)
        pubsub_channel = self._names.pubsub_channel(channel)
        known = self._tracker.position(pubsub_channel)
        packed = self._scripts.publish(keys, pubsub_channel, known, event=event, data=data, time_ms=time_ms)
        return self._link.request(packed, lambda answer: Published(*parse_answer(answer)), keys[0])

    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        """Read one snapshot. See `Broker.history`."""
        await self._tracker.known(self._names.pubsub_channel(channel))
        return await self._read(channel, since, min(limit, MAX_PAGE))

    async def _read(self, channel: str, since: Position | None, limit: int) -> HistoryPage:
        keys = self._names.keys(channel)
        while True:
            known = self._tracker.position(self._names.pubsub_channel(channel))
            packed = self._scripts.history(keys, known, since, limit)
            top, entries = await self._link.request(packed, parse_page, keys[0])
            if since is None:
                entries.reverse()
            publications = self._readable(channel, top, entries)
            last = offset_of(entries[-1]) if entries else None
            if publications or since is None or last is None or len(entries) < limit:
                return HistoryPage(publications, top)
            since = since._replace(offset=last)  # a whole page of which nothing can be shown

    def _readable(self, channel: str, top: Position, entries: list[Any]) -> list[Publication]:
        oldest_ms = self._now_ms() - self._max_age_ms
        publications: list[Publication] = []
        for entry in entries:
            try:
                publication = parse_entry(channel, top.epoch, entry)
            except ForeignDataError as error:
                self._skip(channel, error)
                continue
            # Behind one that is young enough old ones are shown too: the wall clock was set, and leaving
            # them out would tear holes.
            if (publications or publication.time_ms >= oldest_ms) and publication.offset <= top.offset:
                publications.append(publication)
        return publications

    def _skip(self, channel: str, error: ForeignDataError) -> None:
        self.skipped += 1
        if self.skipped.bit_count() == 1:  # 1, 2, 4, 8, …: a flood is told in a few lines
            _log.warning("skipped what is not ours in %r (%d so far): %s", channel, self.skipped, error)

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._tracker.follow(channel, self._subscriber)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._tracker.leave(channel, self._subscriber)

    async def run(self, deliver: Deliver, lost: ReportLost | None = None) -> None:
        """Listen, deliver and check until `close`. See `Broker.run`."""
        self._tracker.deliver = guarded(deliver)
        self._tracker.report_lost = lost
        try:
            async with asyncio.TaskGroup() as group:
                works = (self._subscriber.run(), self._tracker.check(), self._send_canaries(), self._tidy())
                tasks = [group.create_task(work) for work in works]
                await self._closed.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._tracker.stop()

    async def _send_canaries(self) -> None:
        """Find out when the listening connection hears nothing although it looks alive."""
        number = 0
        while True:
            number += 1
            try:
                self._hearing = await self._hears(b"%d" % number)
            except BrokerUnavailableError:
                self._hearing = False  # which says nothing about the other connection
            await asyncio.sleep(self._timings.canary_s * (0.9 + random.random() / 5))  # noqa: S311 - jitter

    async def _hears(self, canary: bytes) -> bool:
        try:
            async with asyncio.timeout(self._timings.canary_s):
                await self._subscriber.listening.wait()
        except TimeoutError:
            return False
        await self._link.request(pack([b"PUBLISH", self._canary, canary]), bool, self._canary)
        try:
            async with asyncio.timeout(self._timings.canary_s):
                await self._subscriber.heard(canary)
        except TimeoutError:
            self._subscriber.reconnect()
            return False
        return True

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(self._timings.unsubscribe_s)
            self._subscriber.drop_unwanted()

    async def ready(self) -> bool:
        """Whether Redis answers and the latest canary was heard."""
        connected = self._link.connected and self._subscriber.listening.is_set()
        return connected and self._hearing and not self._closed.is_set()

    async def close(self) -> None:
        """Wait for the answers to what was published, then disconnect."""
        await self._link.close()
        self._closed.set()
