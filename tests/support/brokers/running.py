"""The logs that the broker suite runs on, and a broker at work with a record of what it delivered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from typing_extensions import override

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import ROOM_PREFIX, Position
from rtcli.protocol.publication import NEW_MESSAGE, Publication, chat_data
from rtcli_server.broker import (
    Broker,
    Deliver,
    HistoryPage,
    Lost,
    Published,
    Retention,
    UserWatcher,
    open_broker,
)
from rtcli_server.broker.coordinator import OnNotification
from rtcli_server.broker.opening import now_ms
from tests.support.waiting import until

ROOM = "room:general"
DEADLINE_S = 20.0
STEADY = "user:first"


def event_with(channel: str, number: int, *, padding: int = 0) -> tuple[str, bytes]:
    """A publication as servers write it: a message in a room, an event elsewhere, with a number in it."""
    if not channel.startswith(ROOM_PREFIX):
        return "tick", b'{"n":%d,"p":"%s"}' % (number, b"x" * padding)
    data = chat_data(
        room=channel.removeprefix(ROOM_PREFIX),
        content=f"{number} " + "x" * padding,
        sender_id=7,
        sender_name="Ann",
        timestamp="2026-05-01T09:30:00.250Z",
    )
    return NEW_MESSAGE, data


@dataclass
class Running:
    """A broker whose `run` is at work."""

    broker: Broker
    delivered: list[Publication] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    number: int = 0  # of the latest publish

    async def publish(self, channel: str = ROOM, *, key: str | None = None, age_ms: int = 0) -> Published:
        """Publish the next number and wait for its place in the log."""
        return await self.start(channel, key=key, age_ms=age_ms)

    def start(
        self,
        channel: str = ROOM,
        *,
        key: str | None = None,
        age_ms: int = 0,
        padding: int = 0,
        exclude: Exclusion | None = None,
    ) -> asyncio.Future[Published]:
        """Publish the next number and do not wait."""
        self.number += 1
        event, data = event_with(channel, self.number, padding=padding)
        time_ms = now_ms() - age_ms
        return self.broker.publish(channel, event, data, key=key, time_ms=time_ms, exclude=exclude)

    async def page(
        self, channel: str = ROOM, *, since: Position | None = None, limit: int = 500
    ) -> HistoryPage:
        """Read history."""
        return await self.broker.history(channel, since=since, limit=limit)

    async def wait_ready(self) -> None:
        """Wait until the log says that it works."""
        async with asyncio.timeout(DEADLINE_S):
            while not await self.broker.ready():  # noqa: ASYNC110 - it has no event to wait for
                await asyncio.sleep(0.01)

    async def wait_delivered(self, number: int) -> None:
        """Wait for that many deliveries in all."""
        await until(lambda: len(self.delivered) >= number, f"{number} deliveries")


class Watcher(UserWatcher):
    """Records what it is told of users' channels."""

    def __init__(self) -> None:
        self.calls: list[str | None] = []  # channels; None where some may be missing

    @override
    def published(self, channel: str) -> None:
        self.calls.append(channel)

    @override
    def missed(self) -> None:
        self.calls.append(None)

    @property
    def told(self) -> Counter[str]:
        """How often it was told of each channel, but for the one of `steady`."""
        return Counter(call for call in self.calls if call is not None and call != STEADY)

    async def steady(self, log: Running) -> None:
        """Wait until nothing is missing any more: some brokers have to subscribe first."""
        while STEADY not in self.calls:
            since = len(self.calls)
            await log.publish(STEADY)
            await self.wait_told(STEADY, since)

    async def wait_told(self, channel: str, since: int) -> None:
        """Wait for a call after the first `since` that is about `channel`, or says that some are missing."""
        await until(lambda: bool({channel, None} & set(self.calls[since:])), f"a word about {channel}")


@asynccontextmanager
async def running(
    url: str,
    retention: Retention | None = None,
    deliver: Deliver | None = None,
    on_notification: OnNotification | None = None,
    users: UserWatcher | None = None,
) -> AsyncIterator[Running]:
    """Open the log at `url`, run it, and close it."""
    broker = open_broker(url, retention)
    record = Running(broker)
    work = broker.run(deliver or record.delivered.append, record.lost.append, on_notification, users)
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    try:
        yield record
    finally:
        await broker.close()
        await asyncio.wait_for(task, DEADLINE_S)


def offsets(publications: list[Publication]) -> list[int]:
    """Their offsets, in the order given."""
    return [publication.offset for publication in publications]
