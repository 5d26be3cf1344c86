"""The log in Redis (or Valkey), shared by any number of instances.

Theory of operation. A publish is one script: dedupe, epoch, offset, append to the channel's stream, publish
on the channel's pub/sub channel. The stream is the truth, pub/sub is for speed. Each instance subscribes to
the channels that it has members in and follows each by offset (follower.py): whatever is missing, it reads
from the stream. All users' channels share one pub/sub channel: an instance has many users, and most are never
written to. It checks after a resubscription, and each followed channel every 40 s. Two connections: one
carries requests, pipelined (link.py), one only listens (pubsub_listener.py).

What an acknowledged publication survives depends on the configuration of Redis. When Redis lost its latest
writes and an instance had seen them, the channel gets a new epoch: no position is used twice within one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.auth.revocations import Revocation
from rtcli_server.broker.base import (
    MAX_PAGE,
    Broker,
    Deliver,
    HistoryPage,
    Published,
    ReportLost,
    Retention,
    UserWatcher,
    guarded,
)
from rtcli_server.broker.coordinator import Coordinator, OnNotification
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.health import StoreHealth
from rtcli_server.broker.redis.coordinator import RedisCoordinator
from rtcli_server.broker.redis.link import Link
from rtcli_server.broker.redis.probe import Probe
from rtcli_server.broker.redis.pubsub_listener import PubSubListener
from rtcli_server.broker.redis.revocations import RevocationHash
from rtcli_server.broker.redis.scripts import LogScripts
from rtcli_server.broker.redis.target import Target
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.tracker import ChannelTracker
from rtcli_server.broker.redis.wire import (
    Names,
    offset_of,
    parse_answer,
    parse_entry,
    parse_page,
)
from rtcli_server.broker.validation import ForeignDataError
from rtcli_server.timing.supervision import Supervised, Supervisor

SUBSCRIPTIONS = Supervised("the connection to Redis for subscriptions")
COMPARISON = Supervised("the comparison of channels with their streams")
PROBES = Supervised("the probes of Redis")
TIDYING = Supervised("the end of subscriptions that nobody wants")

_log = logging.getLogger(__name__)


class RedisBroker(Broker):
    """The log of a deployment in one Redis."""

    def __init__(
        self,
        target: Target,
        retention: Retention,
        *,
        prefix: str,
        instance_id: str,
        timings: RedisTimings,
        now_ms: Callable[[], int],
        supervisor: Supervisor,
        foreign: ForeignContent,
    ) -> None:
        self._target = target
        self._foreign = foreign
        self._supervisor = supervisor
        self._max_age_ms = retention.max_age_ms
        self._timings = timings
        self._now_ms = now_ms
        self._names = Names(prefix)
        # A read keeps a channel's state alive, and each followed channel is read every `check_s`.
        meta_ttl_ms = max(2 * retention.max_age_ms, int(5_000 * timings.check_s))
        self._scripts = LogScripts(retention, meta_ttl_ms=meta_ttl_ms)
        self._tracker = ChannelTracker(self._names, timings, read=self._read, foreign=foreign)
        self._coordinator = RedisCoordinator(
            self._names,
            lambda: self._link,
            self._tracker.known,
            instance_id=instance_id,
            ttl_s=timings.coordinator_ttl_s,
            foreign=foreign,
        )
        self._revocations = RevocationHash(
            self._names, lambda: self._link, self._coordinator.scripts, foreign, now_ms=now_ms
        )
        self._health = StoreHealth(target.name)
        self._probe = Probe(
            self._names, self._scripts, lambda: self._link, self._health, timings, now_ms=now_ms
        )
        self._listener = PubSubListener(
            target.connect,
            timings,
            self._health,
            own=self._probe.own,
            on_probe=self._probe.arrived,
            on_message=self._tracker.on_message,
            on_subscribed=self._tracker.on_subscribed,
        )
        self._closed = asyncio.Event()
        self._started: Link | None = None

    @property
    @override
    def coordinator(self) -> Coordinator:
        return self._coordinator

    @property
    def _link(self) -> Link:
        if self._started is None:
            scripts = [*self._scripts.texts, *self._coordinator.scripts.texts]
            self._started = self._target.open(self._timings, scripts, self._health, self._supervisor)
        return self._started

    @override
    def publish(
        self,
        channel: str,
        event: str,
        data: bytes,
        *,
        key: str | None = None,
        time_ms: int,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        """Send together with everything else that this turn of the loop publishes."""
        keys = self._names.keys(channel, key)
        seen = self._tracker.seen(channel)
        route = self._names.route(channel)
        packed = self._scripts.publish(
            keys, route, seen, event=event, data=data, time_ms=time_ms, exclude=exclude
        )
        return self._link.request(packed, lambda answer: Published(*parse_answer(answer)), keys[0])

    @override
    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        await self._tracker.known(channel)
        return await self._read(channel, since, min(limit, MAX_PAGE))

    async def _read(self, channel: str, since: Position | None, limit: int) -> HistoryPage:
        keys = self._names.keys(channel)
        while True:
            seen = self._tracker.seen(channel)
            packed = self._scripts.history(keys, seen, since, limit)
            top, entries = await self._link.request(packed, parse_page, keys[0])
            if since is None:
                entries.reverse()
            publications = self._readable(channel, top, entries)
            last = offset_of(entries[-1]) if entries else None
            if publications or since is None or last is None or last >= top.offset:
                return HistoryPage(publications, top)
            since = since._replace(offset=last)  # a page of which nothing can be shown

    def _readable(self, channel: str, top: Position, entries: list[Any]) -> list[Publication]:
        oldest_ms = self._now_ms() - self._max_age_ms
        publications: list[Publication] = []
        for entry in entries:
            try:
                publication = parse_entry(channel, top.epoch, entry)
            except ForeignDataError as error:
                self._foreign.skip(Place.LOG, channel, error)
                continue
            # After a young enough one, old ones are shown too: the wall clock was set, and leaving them out
            # would make gaps.
            if (publications or publication.time_ms >= oldest_ms) and publication.offset <= top.offset:
                publications.append(publication)
        return publications

    @override
    async def revoke(self, revocation: Revocation) -> None:
        await self._revocations.add(revocation)

    @override
    async def revocations(self) -> list[Revocation]:
        return await self._revocations.read()

    @override
    def subscribe(self, channel: str) -> None:
        self._tracker.follow(channel, self._listener)

    @override
    def unsubscribe(self, channel: str) -> None:
        self._tracker.leave(channel, self._listener)

    @override
    async def run(
        self,
        deliver: Deliver,
        lost: ReportLost | None = None,
        on_notification: OnNotification | None = None,
        users: UserWatcher | None = None,
    ) -> None:
        """Listen, deliver and check until `close`."""
        start = self._supervisor.start
        self._tracker.start(guarded(deliver), lost, on_notification, users)
        if users is not None:
            self._listener.subscribe(self._names.users)
        tasks = [
            start(SUBSCRIPTIONS, self._listener.run),
            start(COMPARISON, self._tracker.check),
            start(PROBES, lambda: self._probe.run(self._listener)),
            start(TIDYING, self._tidy),
        ]
        try:
            await self._closed.wait()
        finally:
            for task in tasks:
                task.cancel()
            await self._tracker.stop()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(self._timings.unsubscribe_s)
            self._listener.drop_unwanted()

    @override
    async def ready(self) -> bool:
        """Whether the latest probe was taken by every node and arrived, and no connection was lost since."""
        return self._health.works and not self._closed.is_set()

    @override
    async def close(self) -> None:
        """Wait for the answers to what was published, then disconnect."""
        await self._link.close()
        self._closed.set()
