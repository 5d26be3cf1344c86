"""Personal events without a subscription for each connection: most users are never written to.

A connection that waits for personal events is *dormant*: it keeps its position in its user's channel, and
nothing else. The log tells of every publication in a user's channel. That wakes the user's connections: each
subscribes, and catches up from its position like a slow client, so that nothing falls between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from typing_extensions import override

from rtcli.protocol.position import USER_PREFIX, Position
from rtcli_server.broker import BrokerUnavailableError, UserWatcher
from rtcli_server.broker.paging import ReadHistory
from rtcli_server.connections.hub import Hub
from rtcli_server.timing.containment import contained
from rtcli_server.timing.pacing import batched
from rtcli_server.timing.tasks import Spawn

READS_AT_ONCE = 50
PAUSE_S = 0.025  # and the pause after them: 2 000 users a second leave the log its time
RETRY_S = 1.0  # until those are compared again whose channels could not be read

_log = logging.getLogger(__name__)


class PersonalEvents(UserWatcher):
    """Wakes the dormant connections of `hub`."""

    def __init__(self, hub: Hub, history: ReadHistory, *, spawn: Spawn) -> None:
        self._hub = hub
        self._history = history
        self._spawn = spawn
        self.misses = 0  # how often something may have been missed
        self._comparing = False

    @override
    def published(self, channel: str) -> None:
        with contained(_log, "waking the connections of %s failed", channel):
            for client in self._hub.of_user(channel.removeprefix(USER_PREFIX)):
                client.wake()

    @override
    def missed(self) -> None:
        """Compare the position of each dormant connection with the log, and wake those that are behind."""
        self.misses += 1
        if not self._comparing:
            self._comparing = True
            self._spawn(self._compare_all())

    @override
    def positions(self, channel: str) -> Sequence[Position]:
        # Not only the largest: a client that has not read yet that its epoch is over may be far ahead in it.
        latest: dict[str, int] = {}
        for client in self._hub.of_user(channel.removeprefix(USER_PREFIX)):
            if (told := client.told_events_to) is not None:
                latest[told.epoch] = max(told.offset, latest.get(told.epoch, 0))
        return [Position(epoch, offset) for epoch, offset in latest.items()]

    async def _compare_all(self) -> None:
        try:
            done = 0
            while done != self.misses:
                done = self.misses
                clients = self._hub.clients.values()
                users = dict.fromkeys(client.user_id for client in clients if client.dormant_at is not None)
                left = await self._compare_users(users)
                while left and done == self.misses:
                    await asyncio.sleep(RETRY_S)  # the log is away; nothing else tells of what was missed
                    left = await self._compare_users(left)
        finally:
            self._comparing = False

    async def _compare_users(self, users: Iterable[str]) -> list[str]:
        """Compare some users; return those whose channels could not be read."""
        left: list[str] = []
        for batch in batched(users, READS_AT_ONCE):
            compared = await asyncio.gather(*map(self._compare, batch))
            left += [user for user, done in zip(batch, compared, strict=True) if not done]
            await asyncio.sleep(PAUSE_S)
        return left

    async def _compare(self, user_id: str) -> bool:
        """Wake the connections of a user that are behind; return whether its channel could be read."""
        try:
            top = (await self._history(USER_PREFIX + user_id, since=None, limit=0)).top
        except BrokerUnavailableError:
            return False
        for client in self._hub.of_user(user_id):
            if client.dormant_at not in {None, top}:
                client.wake()
        return True
