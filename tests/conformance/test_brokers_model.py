"""Any sequence of publishes, reads, subscriptions and restarts, against a model that keeps everything."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from server.broker import Retention, open_broker
from server.protocol.position import Position
from tests.conformance.stores import Running, wait_until

T = TypeVar("T")
MAX_COUNT = 7
RETENTION = Retention(max_count=MAX_COUNT)
channels = st.sampled_from(["room:a", "room:b", "user:1", "all"])
keys = st.none() | st.sampled_from(["k1", "k2", "k3"])


class LogMachine(RuleBasedStateMachine):
    """Drives a real log; `data[channel][n]` is what the model knows to be at offset n + 1."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.data: dict[str, list[bytes]] = {}
        self.first_of: dict[tuple[str, str], int] = {}
        self.subscribed: set[str] = set()
        self.expected: list[tuple[str, int]] = []
        self.epoch = ""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def url(self) -> str:
        return {"memory": "memory:", "sqlite": f"sqlite:{Path(self.directory.name) / 'rt.db'}"}[self.kind]

    @initialize()
    def open(self) -> None:
        self.log = Running(open_broker(self.url(), RETENTION))
        self.do(self._start())
        self.subscribed.clear()
        self.expected.clear()

    async def _start(self) -> None:
        self.task = asyncio.create_task(self.log.broker.run(self.log.delivered.append))
        await asyncio.sleep(0)
        self.epoch = (await self.log.page()).top.epoch

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
                stored.append(b'{"n":%d,"p":""}' % number)
                if key:
                    self.first_of[channel, key] = len(stored)
                if channel in self.subscribed:
                    self.expected.append((channel, len(stored)))
            assert position == Position(self.epoch, known or len(stored))

    @rule(channel=channels, offset=st.none() | st.integers(0, 40), limit=st.integers(0, 12))
    def history(self, channel: str, offset: int | None, limit: int) -> None:
        since = None if offset is None else Position(self.epoch, offset)
        page = self.do(self.log.page(channel, since=since, limit=limit))
        stored = self.data.get(channel, [])
        top = len(stored)
        kept = range(max(0, top - MAX_COUNT) + 1, top + 1)
        expected = [n for n in kept if offset is None or n > offset]
        expected = (
            expected[:limit] if offset is not None else expected[len(expected) - min(limit, len(expected)) :]
        )
        assert page.top == Position(self.epoch, top)
        assert [(p.offset, p.data) for p in page.publications] == [(n, stored[n - 1]) for n in expected]

    @rule(channel=channels)
    def subscribe(self, channel: str) -> None:
        self.log.broker.subscribe(channel)
        self.do(self.log.page(channel))
        self.subscribed.add(channel)

    @rule(channel=channels)
    def unsubscribe(self, channel: str) -> None:
        self.log.broker.unsubscribe(channel)
        self.subscribed.discard(channel)

    @precondition(lambda self: self.kind != "memory")
    @rule()
    def restart(self) -> None:
        before = self.epoch
        self.close()
        self.open()
        assert self.epoch == before

    @invariant()
    def delivered(self) -> None:
        if not self.expected:
            return
        self.do(wait_until(lambda: len(self.log.delivered) >= len(self.expected), "all deliveries"))
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
    kind = "sqlite"


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
SqliteMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMemory = LogMachine.TestCase
TestSqlite = SqliteMachine.TestCase
