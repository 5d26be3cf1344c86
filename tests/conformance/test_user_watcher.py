"""What every broker tells of users' channels: nobody has to subscribe to those that nobody writes to."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.brokers.running import ROOM, Watcher, offsets, running
from tests.support.waiting import until

USERS = ["user:7", "user:8", "user:Größe&{x}:*"]


async def test_every_publication_is_told_or_that_it_may_be_missing_from_the_start(store_url: str) -> None:
    watcher = Watcher()
    async with running(store_url, users=watcher) as log:
        for turn in range(60):
            since, user = len(watcher.calls), USERS[turn % 3]
            await log.publish(user)
            await watcher.wait_told(user, since)


@pytest.mark.parametrize("subscribed", [False, True])
async def test_users_channels_are_told_and_no_others(store_url: str, subscribed: bool) -> None:
    watcher = Watcher()
    async with running(store_url, users=watcher) as log:
        if subscribed:
            for channel in USERS:
                log.broker.subscribe(channel)
                await log.page(channel)
        await watcher.steady(log)
        for _ in range(20):
            for channel in (*USERS, ROOM, "all"):
                log.start(channel)
        await until(lambda: watcher.told.total() >= 60, "all of them")
        assert watcher.told == dict.fromkeys(USERS, 20)
        if subscribed:
            await log.wait_delivered(60)
        assert len(log.delivered) == (60 if subscribed else 0)


async def test_what_is_told_is_in_the_log(store_url: str) -> None:
    tops: list[asyncio.Task[int]] = []

    class Reader(Watcher):
        def published(self, channel: str) -> None:
            super().published(channel)
            if channel == "user:7":
                tops.append(asyncio.ensure_future(top_of(channel)))

    async def top_of(channel: str) -> int:
        return (await log.page(channel, limit=0)).top.offset

    watcher = Reader()
    async with running(store_url, users=watcher) as log:
        await watcher.steady(log)
        for _ in range(20):
            log.start("user:7")
        await until(lambda: watcher.told["user:7"] == 20, "all of them")
        found = await asyncio.gather(*tops)
        assert all(top >= told for told, top in enumerate(found, start=1))


async def test_a_repeat_with_the_same_key_is_not_told_again(store_url: str) -> None:
    watcher = Watcher()
    async with running(store_url, users=watcher) as log:
        await watcher.steady(log)
        for key in ("a", "a", "b", "a"):
            await log.publish("user:7", key=key)
        await until(lambda: watcher.told["user:7"] >= 2, "both of them")
        await log.publish("user:7")
        await until(lambda: watcher.told["user:7"] >= 3, "the last one")
        assert watcher.told == {"user:7": 3}


async def test_subscribing_to_one_user_and_leaving_changes_nothing_for_the_watcher(store_url: str) -> None:
    watcher = Watcher()
    async with running(store_url, users=watcher) as log:
        await watcher.steady(log)
        for _ in range(5):
            log.broker.subscribe("user:7")
            await log.page("user:7")
            since = len(watcher.calls)
            await log.publish("user:7")
            await watcher.wait_told("user:7", since)
            log.broker.unsubscribe("user:7")
            since = len(watcher.calls)
            await log.publish("user:7")
            await watcher.wait_told("user:7", since)
        published = offsets(log.delivered)
        assert published == [1, 3, 5, 7, 9]


async def test_what_is_published_while_somebody_begins_to_follow_is_told(store_url: str) -> None:
    """Who follows begins behind it; others of the same user wait for the word."""
    watcher = Watcher()
    async with running(store_url, users=watcher) as log:
        await watcher.steady(log)
        for number in range(50):
            user, since = f"user:{number}", len(watcher.calls)
            early = number % 2
            published = log.start(user) if early else None
            log.broker.subscribe(user)
            await (published or log.start(user))
            await watcher.wait_told(user, since)
