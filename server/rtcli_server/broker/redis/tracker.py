"""The channels that this instance follows: from pub/sub messages and reads of the stream to deliveries.

follower.py decides for one channel; this module carries it out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from rtcli.protocol.position import USER_PREFIX, Position
from rtcli_server.broker.base import (
    MAX_PAGE,
    BrokerUnavailableError,
    Deliver,
    HistoryPage,
    Lost,
    ReportLost,
    UserWatcher,
)
from rtcli_server.broker.coordinator import Notification, OnNotification
from rtcli_server.broker.foreign import ForeignContent, Place
from rtcli_server.broker.redis.follower import ChannelFollower, Step
from rtcli_server.broker.redis.pubsub_listener import PubSubListener
from rtcli_server.broker.redis.timings import RedisTimings
from rtcli_server.broker.redis.wire import (
    NOTIFICATION_MARK,
    Names,
    parse_message,
    parse_notification,
    split_user_message,
)
from rtcli_server.broker.validation import ForeignDataError
from rtcli_server.timing.pacing import batched
from rtcli_server.timing.tasks import BackgroundTasks

CHECK_TURNS = 40  # the tracked channels are checked in that many groups
READS_AT_ONCE = 200

Read = Callable[[str, Position | None, int], Awaitable[HistoryPage]]

_log = logging.getLogger(__name__)


class _TrackedChannel:
    __slots__ = ("channel", "follower", "is_user", "known", "started", "turn")

    def __init__(self, channel: str, known: asyncio.Future[None], turn: int) -> None:
        self.channel = channel
        self.is_user = channel.startswith(USER_PREFIX)
        self.follower = ChannelFollower()
        self.known = known  # resolved when it is subscribed and its position is known
        self.started = False  # whether its first read has started
        self.turn = turn


class ChannelTracker:
    """Follows channels. `read` reads the stream; `foreign` counts messages that are not ours.

    Those of users have one pub/sub channel together, which also tells of users who are not followed.
    """

    def __init__(self, names: Names, timings: RedisTimings, *, read: Read, foreign: ForeignContent) -> None:
        self._names = names
        self._timings = timings
        self._read = read
        self._foreign = foreign
        self._followed: dict[bytes, _TrackedChannel] = {}  # by `Names.pubsub_channel`
        self._turns: list[set[bytes]] = [set() for _ in range(CHECK_TURNS)]
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._reading = BackgroundTasks()
        self._deliver: Deliver | None = None
        self._report_lost: ReportLost | None = None
        self._on_notification: OnNotification | None = None
        self._users: UserWatcher | None = None

    def start(
        self,
        deliver: Deliver,
        lost: ReportLost | None,
        on_notification: OnNotification | None,
        users: UserWatcher | None,
    ) -> None:
        """Deliver from now on, as described in `Broker.run`; `deliver` does not raise.

        What was being read at the last `stop` is read again.
        """
        self._deliver, self._report_lost = deliver, lost
        self._on_notification, self._users = on_notification, users
        for followed in self._followed.values():
            if followed.started and followed.follower.reading:
                self._reading.spawn(self._catch_up(followed))

    def seen(self, channel: str) -> Sequence[Position]:
        """The latest position that this instance has seen there, if it follows that channel.

        Of a user's channel also what the watcher has seen, in each epoch: nobody may follow that one.
        """
        followed = self._followed.get(self._names.pubsub_channel(channel))
        position = followed.follower.position if followed else None
        if position is not None:
            return (position,)
        if self._users is not None and channel.startswith(USER_PREFIX):
            return self._users.positions(channel)
        return ()

    async def known(self, channel: str) -> None:
        """Wait until a followed channel is subscribed and its position known.

        Raises BrokerUnavailableError.
        """
        followed = self._followed.get(self._names.pubsub_channel(channel))
        if followed is None or followed.known.done():
            return
        await asyncio.wait([followed.known], timeout=self._timings.request_s)
        if not followed.known.done():
            raise BrokerUnavailableError("Redis is away: the channel is not subscribed")

    def follow(self, channel: str, listener: PubSubListener) -> None:
        """Start to follow a channel, unless it is followed already."""
        pubsub_channel = self._names.pubsub_channel(channel)
        if pubsub_channel in self._followed:
            return
        known = asyncio.get_running_loop().create_future()
        followed = _TrackedChannel(channel, known, random.randrange(CHECK_TURNS))  # noqa: S311 - spreads load
        self._followed[pubsub_channel] = followed
        self._turns[followed.turn].add(pubsub_channel)
        if not followed.is_user:
            listener.subscribe(pubsub_channel)
        elif listener.is_subscribed(self._names.users):
            self._confirm(followed)
        else:
            listener.subscribe(self._names.users)

    def leave(self, channel: str, listener: PubSubListener) -> None:
        """Stop following a channel: nothing of it is delivered any more."""
        pubsub_channel = self._names.pubsub_channel(channel)
        followed = self._followed.pop(pubsub_channel, None)
        if followed is None:
            return
        self._turns[followed.turn].discard(pubsub_channel)
        if not followed.is_user:
            listener.unsubscribe(pubsub_channel)
        if not followed.known.done():
            followed.known.set_result(None)

    def on_subscribed(self, pubsub_channel: bytes) -> None:
        """Note that messages arrive from now on. Those since the last confirmation may be missing."""
        if pubsub_channel == self._names.users:
            for followed in list(self._followed.values()):
                if followed.is_user:
                    self._confirm(followed)
            self._users_missed()
        elif pubsub_channel in self._followed:
            self._confirm(self._followed[pubsub_channel])

    def _confirm(self, followed: _TrackedChannel) -> None:
        first = not followed.started
        followed.started = True
        self._apply(followed, Step([], read=True) if first else followed.follower.suspect())

    def on_message(self, pubsub_channel: bytes, payload: bytes) -> None:
        """Take a message of a pub/sub channel."""
        followed = self._followed.get(pubsub_channel)
        if followed is not None:
            self._on_message(followed, payload)
        elif pubsub_channel == self._names.users:
            self._on_user_message(payload)

    def _on_user_message(self, message: bytes) -> None:
        try:
            channel, payload = split_user_message(message)
        except ForeignDataError as error:
            self._foreign.skip(Place.MESSAGE, "users", error)
            return
        followed = self._followed.get(self._names.pubsub_channel(channel))
        if followed is not None:
            before = followed.follower.position
            if not self._on_message(followed, payload) or followed.follower.position != before:
                return
            # Not delivered: it may be where following began, and the watcher's clients may not have it.
        if self._users is not None:
            self._users.published(channel)

    def _users_missed(self) -> None:
        if self._users is not None:
            self._users.missed()

    def _on_message(self, followed: _TrackedChannel, payload: bytes) -> bool:
        """Take a message of a followed channel; return whether it is one of ours."""
        channel, is_notification = followed.channel, payload.startswith(NOTIFICATION_MARK)
        try:
            if is_notification:
                self._notify(channel, parse_notification(channel, payload))
            else:
                self._apply(followed, followed.follower.live(parse_message(channel, payload)))
        except ForeignDataError as error:
            self._foreign.skip(Place.NOTIFICATION if is_notification else Place.MESSAGE, channel, error)
            return False
        return True

    def _notify(self, channel: str, notification: Notification) -> None:
        if self._on_notification is not None:
            try:
                self._on_notification(channel, notification)
            except Exception:  # noqa: BLE001 - whatever a receiver does wrong, it gets the next one
                _log.exception("a notification for %s failed", channel)

    def _apply(self, followed: _TrackedChannel, step: Step) -> None:
        """Carry a step out; if it asks for a read, start reading."""
        self._report(followed, step)
        if step.read:
            self._reading.spawn(self._catch_up(followed))

    def _report(self, followed: _TrackedChannel, step: Step) -> None:
        if self._deliver is not None:
            for publication in step.deliver:
                self._deliver(publication)
        if step.lost is not None and self._report_lost is not None:
            self._report_lost(Lost(followed.channel, step.lost))
        if followed.is_user and self._users is not None and (step.deliver or step.lost is not None):
            self._users.published(followed.channel)

    def _is_current(self, followed: _TrackedChannel) -> bool:
        return self._followed.get(self._names.pubsub_channel(followed.channel)) is followed

    async def _catch_up(self, followed: _TrackedChannel) -> None:
        """Read the stream as the follower asks, until live messages continue it."""
        attempt = 0
        while self._is_current(followed):
            since = followed.follower.start_read()
            try:
                async with self._reads:
                    page = await self._read(followed.channel, since, MAX_PAGE if since else 0)
            except Exception as error:  # noqa: BLE001 - nobody else reads this channel: it would stay silent
                if not isinstance(error, BrokerUnavailableError):
                    _log.exception("reading %r failed; it is tried again", followed.channel)
                attempt += 1
                await asyncio.sleep(self._timings.retry_s(attempt, random.random()))  # noqa: S311 - jitter
                continue
            if not self._is_current(followed):
                return
            step = followed.follower.finish_read(page)
            self._report(followed, step)
            if not followed.known.done():
                followed.known.set_result(None)
            if not step.read:
                return

    async def check(self) -> None:
        """Compare each channel with its stream regularly: the last message may be the lost one."""
        while True:
            for turn in self._turns:
                await asyncio.sleep(self._timings.check_s / CHECK_TURNS)
                for batch in batched(list(turn), READS_AT_ONCE):
                    await asyncio.gather(*map(self._check_one, batch))
            self._users_missed()

    async def _check_one(self, pubsub_channel: bytes) -> None:
        followed = self._followed.get(pubsub_channel)
        if followed is None or followed.follower.reading:
            return
        try:
            top = (await self._read(followed.channel, None, 0)).top
        except BrokerUnavailableError:
            return  # the next check finds what is missing
        if self._is_current(followed) and top != followed.follower.position:
            self._apply(followed, followed.follower.suspect())

    async def stop(self) -> None:
        """Stop delivering, and cancel all reads."""
        self._deliver = self._report_lost = self._on_notification = self._users = None
        await self._reading.cancel()
