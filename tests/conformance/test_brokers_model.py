"""Compares sequences of publishes, reads, subscriptions and restarts with a model that keeps everything."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rtcli.protocol.position import Position
from rtcli_server.broker import Retention, open_broker
from tests.support.brokers.running import Running, event_with
from tests.support.redis.server import RedisServer
from tests.support.waiting import until

T = TypeVar("T")
MAX_COUNT = 7
RETENTION = Retention(max_count=MAX_COUNT)
channels = st.sampled_from(["room:a", "room:b", "user:1", "all"])
keys = st.none() | st.sampled_from(["k1", "k2", "k3"])


class LogMachine(RuleBasedStateMachine):
    """Drives a real log. `data[channel][n]` is the publication that the model expects at offset n + 1."""

    keeps = False  # whether the log is still there after a restart

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.data: dict[str, list[bytes]] = {}
        self.first_of: dict[tuple[str, str], int] = {}
        self.subscribed: set[str] = set()
        self.expected: list[tuple[str, int]] = []
        self.epochs: dict[str, str] = {}  # of each channel: the epoch that was seen first, which must stay

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def url(self) -> str:
        return "memory:"

    @initialize()
    def open(self) -> None:
        self.log = Running(open_broker(self.url(), RETENTION))
        self.do(self._start())
        self.subscribed.clear()
        self.expected.clear()

    async def _start(self) -> None:
        self.task = asyncio.create_task(self.log.broker.run(self.log.delivered.append))
        await asyncio.sleep(0)

    def place(self, channel: str, offset: int, seen: Position) -> Position:
        """The position that the model expects. The first position of a channel sets its epoch."""
        return Position(self.epochs.setdefault(channel, seen.epoch), offset)

    def close(self) -> None:
        self.do(self.log.broker.close())
        self.do(asyncio.wait_for(self.task, 10))

    @rule(channel=channels, burst=st.lists(keys, min_size=1, max_size=5))
    def publish(self, channel: str, burst: list[str | None]) -> None:
        async def concurrently() -> list[tuple[Position, bool]]:
            return await asyncio.gather(*[self.log.start(channel, key=key) for key in burst])

        number = self.log.number
        for key, (position, duplicate) in zip(burst, self.do(concurrently()), strict=True):
            number += 1
            known = self.first_of.get((channel, key)) if key else None
            stored = self.data.setdefault(channel, [])
            assert duplicate is (known is not None)
            if known is None:
                stored.append(event_with(channel, number)[1])
                if key:
                    self.first_of[channel, key] = len(stored)
                if channel in self.subscribed:
                    self.expected.append((channel, len(stored)))
            assert position == self.place(channel, known or len(stored), position)

    @rule(channel=channels, offset=st.none() | st.integers(0, 40), limit=st.integers(0, 12))
    def history(self, channel: str, offset: int | None, limit: int) -> None:
        if channel not in self.epochs:
            self.epochs[channel] = self.do(self.log.page(channel)).top.epoch
        since = None if offset is None else Position(self.epochs[channel], offset)
        page = self.do(self.log.page(channel, since=since, limit=limit))
        stored = self.data.get(channel, [])
        top = len(stored)
        kept = range(max(0, top - MAX_COUNT) + 1, top + 1)
        expected = [n for n in kept if offset is None or n > offset]
        expected = (
            expected[:limit] if offset is not None else expected[len(expected) - min(limit, len(expected)) :]
        )
        assert page.top == Position(self.epochs[channel], top)
        assert [(p.offset, p.data) for p in page.publications] == [(n, stored[n - 1]) for n in expected]

    @rule(channel=channels)
    def subscribe(self, channel: str) -> None:
        async def join() -> None:
            self.log.broker.subscribe(channel)
            await self.log.page(channel)

        self.do(join())
        self.subscribed.add(channel)

    @rule(channel=channels)
    def unsubscribe(self, channel: str) -> None:
        self.log.broker.unsubscribe(channel)
        self.subscribed.discard(channel)

    @precondition(lambda self: self.keeps)
    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @invariant()
    def delivered(self) -> None:
        if not self.expected:
            return
        self.do(until(lambda: len(self.log.delivered) >= len(self.expected), "all deliveries"))
        seen = [(p.channel, p.offset) for p in self.log.delivered]
        for channel in {channel for channel, _ in self.expected}:
            assert [s for s in seen if s[0] == channel] == [e for e in self.expected if e[0] == channel]
        assert len(seen) == len(self.expected)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.close()
        self.loop.close()
        self.directory.cleanup()


class SqliteMachine(LogMachine):
    keeps = True

    def url(self) -> str:
        return f"sqlite:{Path(self.directory.name) / 'rt.db'}"


def examples(number: int) -> settings:
    return settings(max_examples=number, stateful_step_count=30, deadline=None)


def test_memory(soak: bool) -> None:
    run_state_machine_as_test(LogMachine, settings=examples(1000 if soak else 60))


def test_sqlite(soak: bool) -> None:
    run_state_machine_as_test(SqliteMachine, settings=examples(500 if soak else 20))


def test_redis(redis_of_session: RedisServer, soak: bool) -> None:
    class RedisMachine(LogMachine):
        keeps = True

        def __init__(self) -> None:
            super().__init__()
            redis_of_session.command("FLUSHALL")

        def url(self) -> str:
            return redis_of_session.url

    run_state_machine_as_test(RedisMachine, settings=examples(500 if soak else 40))
