"""The channels that this instance follows: from pub/sub messages and reads of the stream to deliveries.

What is decided about one channel is in redis_follower.py; here it is carried out.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from rtcli.protocol.position import Position
from rtcli_server.broker.base import (
    MAX_PAGE,
    BrokerUnavailableError,
    Deliver,
    HistoryPage,
    Lost,
    ReportLost,
)
from rtcli_server.broker.coordinator import Notification, OnNotification
from rtcli_server.broker.redis.coordinator import NOTIFICATION_MARK, parse_notification
from rtcli_server.broker.redis.follower import ChannelFollower, Step
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.wire import ForeignDataError, Names, parse_message
from rtcli_server.timing.pacing import groups

CHECK_TURNS = 40  # the followed channels are checked in that many groups
READS_AT_ONCE = 200

Read = Callable[[str, Position | None, int], Awaitable[HistoryPage]]
Skip = Callable[[str, ForeignDataError], None]


class Subscriptions(Protocol):
    """What of the subscriber is used here."""

    def subscribe(self, name: bytes) -> None:
        """Want a channel's messages."""

    def unsubscribe(self, name: bytes) -> None:
        """Want them no more."""


class _TrackedChannel:
    """A subscribed channel."""

    __slots__ = ("begun", "channel", "follower", "known", "turn")

    def __init__(self, channel: str, known: asyncio.Future[None], turn: int) -> None:
        self.channel = channel
        self.follower = ChannelFollower()
        self.known = known  # resolved when it is subscribed and its position is known
        self.begun = False  # whether that is under way
        self.turn = turn


class ChannelTracker:
    """Follows channels. `read` reads the stream, `skip` is told of what is not ours."""

    def __init__(self, names: Names, timings: RedisTimings, *, read: Read, skip: Skip) -> None:
        self._names = names
        self._timings = timings
        self._read = read
        self._skip = skip
        self._followed: dict[bytes, _TrackedChannel] = {}
        self._turns: list[set[bytes]] = [set() for _ in range(CHECK_TURNS)]
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliver: Deliver | None = None
        self.on_notification: OnNotification | None = None
        self.report_lost: ReportLost | None = None

    def position(self, pubsub_channel: bytes) -> Position | None:
        """The latest position that this instance has seen there."""
        followed = self._followed.get(pubsub_channel)
        return followed.follower.position if followed else None

    async def known(self, pubsub_channel: bytes) -> None:
        """Wait until a followed channel is subscribed and its position known.

        Raises BrokerUnavailableError.
        """
        followed = self._followed.get(pubsub_channel)
        if followed is None or followed.known.done():
            return
        await asyncio.wait([followed.known], timeout=self._timings.request_s)
        if not followed.known.done():
            raise BrokerUnavailableError("Redis is away: the channel is not subscribed")

    def follow(self, channel: str, subscriptions: Subscriptions) -> None:
        """Begin to follow a channel, unless that is so already."""
        pubsub_channel = self._names.pubsub_channel(channel)
        if pubsub_channel in self._followed:
            return
        known = asyncio.get_running_loop().create_future()
        followed = _TrackedChannel(channel, known, random.randrange(CHECK_TURNS))  # noqa: S311 - spreads load
        self._followed[pubsub_channel] = followed
        self._turns[followed.turn].add(pubsub_channel)
        subscriptions.subscribe(pubsub_channel)

    def leave(self, channel: str, subscriptions: Subscriptions) -> None:
        """Deliver nothing of a channel any more."""
        pubsub_channel = self._names.pubsub_channel(channel)
        followed = self._followed.pop(pubsub_channel, None)
        if followed is None:
            return
        self._turns[followed.turn].discard(pubsub_channel)
        subscriptions.unsubscribe(pubsub_channel)
        if not followed.known.done():
            followed.known.set_result(None)

    def on_subscribed(self, pubsub_channel: bytes) -> None:
        """From now on messages come. Those since the last time this was said may be missing."""
        followed = self._followed.get(pubsub_channel)
        if followed is None:
            return
        first = not followed.begun
        followed.begun = True
        self._do(followed, Step([], read=True) if first else followed.follower.suspect())

    def on_message(self, pubsub_channel: bytes, payload: bytes) -> None:
        """Take what pub/sub brought."""
        followed = self._followed.get(pubsub_channel)
        if followed is None:
            return
        try:
            if payload.startswith(NOTIFICATION_MARK):
                self._notification(followed.channel, parse_notification(payload))
                return
            publication = parse_message(followed.channel, payload)
        except ForeignDataError as error:
            self._skip(followed.channel, error)
            return
        self._do(followed, followed.follower.live(publication))

    def _notification(self, channel: str, notification: Notification) -> None:
        if self.on_notification is not None:
            self.on_notification(channel, notification)

    def _do(self, followed: _TrackedChannel, step: Step) -> None:
        """Carry a step out; if it asks for a read, start reading."""
        self._hand_out(followed, step)
        if step.read:
            task = asyncio.create_task(self._catch_up(followed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _hand_out(self, followed: _TrackedChannel, step: Step) -> None:
        if self.deliver is not None:
            for publication in step.deliver:
                self.deliver(publication)
        if step.lost is not None and self.report_lost is not None:
            self.report_lost(Lost(followed.channel, step.lost))

    def _is_current(self, followed: _TrackedChannel) -> bool:
        return self._followed.get(self._names.pubsub_channel(followed.channel)) is followed

    async def _catch_up(self, followed: _TrackedChannel) -> None:
        """Read from the stream what the follower asks for, until live messages continue it."""
        attempt = 0
        while self._is_current(followed):
            since = followed.follower.ask()
            try:
                async with self._reads:
                    page = await self._read(followed.channel, since, MAX_PAGE if since else 0)
            except BrokerUnavailableError:
                attempt += 1
                await asyncio.sleep(self._timings.retry_s(attempt, random.random()))  # noqa: S311 - jitter
                continue
            if not self._is_current(followed):
                return
            step = followed.follower.read(page)
            self._hand_out(followed, step)
            if not followed.known.done():
                followed.known.set_result(None)
            if not step.read:
                return

    async def check(self) -> None:
        """Compare each channel with its stream now and then: the last message may be the lost one."""
        while True:
            for turn in self._turns:
                await asyncio.sleep(self._timings.check_s / CHECK_TURNS)
                for group in groups(list(turn), READS_AT_ONCE):
                    await asyncio.gather(*map(self._check_one, group))

    async def _check_one(self, pubsub_channel: bytes) -> None:
        followed = self._followed.get(pubsub_channel)
        if followed is None or followed.follower.reading:
            return
        try:
            top = (await self._read(followed.channel, None, 0)).top
        except BrokerUnavailableError:
            return  # what is missing will be found when Redis is back
        if self._is_current(followed) and top != followed.follower.position:
            self._do(followed, followed.follower.suspect())

    def stop(self) -> None:
        """End what is under way."""
        self.deliver = self.report_lost = None
        for task in self._tasks:
            task.cancel()
