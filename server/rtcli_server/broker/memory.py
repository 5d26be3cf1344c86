"""The log in memory: a ring per channel. It ends with the process.

Publishing appends and delivers in one synchronous step. Space is bounded by count, age and bytes per channel,
and by bytes over all channels: over that, the least recently used channel loses its oldest publications, and
at last its ring. Its top is remembered, so that no offset is ever used twice within an epoch.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import islice

from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli.protocol.publication import Publication
from rtcli_server.auth.revocations import Revocation, RevokedTokens
from rtcli_server.broker.base import (
    MAX_PAGE,
    BrokerUnavailableError,
    HistoryPage,
    Published,
    Retention,
    new_epoch,
    refuse,
)
from rtcli_server.broker.idempotency import IdempotencyKeys
from rtcli_server.broker.one_process import OneProcessBroker

# What CPython 3.11 needs besides `data`: a struct with its ints, the bytes header, a deque's slot.
PUBLICATION_BYTES = 240
# A channel without publications: the log object, a deque's first block, its name, two dict entries.
CHANNEL_BYTES = 1_200
MAX_TOPS = 100_000  # channels without a ring whose top is remembered, about 200 bytes each


class ChannelLog:
    """The ring of one channel: its newest publications, without holes."""

    __slots__ = ("bytes", "epoch", "ring", "top")

    def __init__(self, epoch: str, top: int) -> None:
        self.epoch = epoch
        self.top = top
        self.ring: deque[Publication] = deque()
        self.bytes = CHANNEL_BYTES

    def drop_oldest(self) -> int:
        """Drop the oldest publication and return the bytes freed."""
        publication = self.ring.popleft()
        size = len(publication.data) + PUBLICATION_BYTES
        if publication.exclude is not None:
            size += publication.exclude.memory_bytes
        self.bytes -= size
        return size

    def page(self, since: Position | None, limit: int) -> HistoryPage:
        """Read a page as described in `Broker.history`."""
        top = Position(self.epoch, self.top)
        if since is None:
            skip = max(0, len(self.ring) - limit)
        elif since.epoch != self.epoch or since.offset >= self.top:
            return HistoryPage([], top)
        else:
            first = self.top - len(self.ring) + 1
            skip = max(0, since.offset + 1 - first)
        return HistoryPage(list(islice(self.ring, skip, skip + limit)), top)


class MemoryBroker(OneProcessBroker):
    """The log of one process."""

    def __init__(
        self, retention: Retention, *, now_ms: Callable[[], int], revoked: RevokedTokens | None = None
    ) -> None:
        """`revoked`: the list in which revocations are kept, which ends with the process as this does."""
        super().__init__()
        self._max_count = retention.max_count
        self._max_total_bytes = retention.max_total_bytes
        self._max_age_ms = retention.max_age_ms
        self._max_channel_bytes = retention.max_channel_bytes + CHANNEL_BYTES
        self._now_ms = now_ms
        self._revoked = RevokedTokens(now_ms) if revoked is None else revoked
        self._epoch = new_epoch()  # of every unknown channel
        self._channels: OrderedDict[str, ChannelLog] = OrderedDict()  # least recently used first
        self._tops: OrderedDict[str, Position] = OrderedDict()  # of channels that lost their ring
        self._bytes = 0
        self._keys = IdempotencyKeys(retention.idempotency_ms, retention.max_keys)

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
        """Append and deliver; the future is resolved already."""
        future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        if self._closed.is_set():
            refuse(future, "the log is closed")
            return future
        if key is not None:
            first = self._keys.find((channel, key))
            if first is not None:
                future.set_result(Published(first, duplicate=True))
                return future
        publication = self._append(channel, event, data, time_ms, exclude)
        position = publication.position
        if key is not None:
            self._keys.remember((channel, key), position)
        if channel in self._subscribed and self._deliver is not None:
            self._deliver(publication)
        self._tell_watcher(channel)
        future.set_result(Published(position, duplicate=False))
        return future

    def _append(
        self, channel: str, event: str, data: bytes, time_ms: int, exclude: Exclusion | None
    ) -> Publication:
        log = self._channels.get(channel)
        if log is None:
            log = self._create(channel)
        else:
            self._channels.move_to_end(channel)
        log.top += 1
        publication = Publication(channel, log.epoch, log.top, event, data, time_ms, exclude)
        log.ring.append(publication)
        size = len(data) + PUBLICATION_BYTES  # not `content_bytes`: two calls are a twentieth of a publish
        if exclude is not None:
            size += exclude.memory_bytes
        log.bytes += size
        self._bytes += size
        self._trim(log, time_ms)
        return publication

    def _create(self, channel: str) -> ChannelLog:
        position = self._tops.pop(channel, None) or Position(self._epoch, 0)
        log = self._channels[channel] = ChannelLog(position.epoch, position.offset)
        self._bytes += CHANNEL_BYTES
        return log

    def _trim(self, log: ChannelLog, now_ms: int) -> None:
        ring, oldest_ms = log.ring, now_ms - self._max_age_ms
        while ring and (
            len(ring) > self._max_count or log.bytes > self._max_channel_bytes or ring[0].time_ms < oldest_ms
        ):
            self._bytes -= log.drop_oldest()
        # Checking the least recently used channel once per publish frees the quiet ones in time.
        for quiet in self._channels.values():
            if quiet is not log:
                self._expire(quiet, now_ms)
            break
        while self._bytes > self._max_total_bytes and self._channels:
            self._trim_least_recently_used()

    def _expire(self, log: ChannelLog, now_ms: int) -> None:
        ring = log.ring
        while ring and ring[0].time_ms < now_ms - self._max_age_ms:
            self._bytes -= log.drop_oldest()

    def _trim_least_recently_used(self) -> None:
        channel, log = next(iter(self._channels.items()))
        if log.ring:
            self._bytes -= log.drop_oldest()
            return
        del self._channels[channel]
        self._bytes -= CHANNEL_BYTES
        self._tops[channel] = Position(log.epoch, log.top)
        if len(self._tops) > MAX_TOPS:
            # That channel may be used again. From now on, unknown channels get another epoch, so that an old
            # position there is answered with `epoch_changed` and never taken for a valid one.
            self._tops.popitem(last=False)
            self._epoch = new_epoch()

    @override
    async def history(self, channel: str, *, since: Position | None, limit: int) -> HistoryPage:
        """Read a page; this never waits."""
        log = self._channels.get(channel)
        if log is None:
            return HistoryPage([], self._tops.get(channel) or Position(self._epoch, 0))
        self._channels.move_to_end(channel)
        self._expire(log, self._now_ms())
        return log.page(since, min(limit, MAX_PAGE))

    @override
    async def revoke(self, revocation: Revocation) -> None:
        self._require_open()
        self._revoked.add(revocation)

    @override
    async def revocations(self) -> list[Revocation]:
        self._require_open()
        return list(self._revoked)

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise BrokerUnavailableError("the log is closed")

    @override
    async def ready(self) -> bool:
        return not self._closed.is_set()

    @override
    async def close(self) -> None:
        self._closed.set()
