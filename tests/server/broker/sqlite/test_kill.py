"""kill -9 while it publishes, again and again on one file: what was acknowledged is there, in its place."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rtcli.protocol.position import Position, parse_position
from rtcli_server.broker import Broker, open_broker
from tests.support.brokers.publishing_child import KEEP_ALL, ROOM
from tests.support.checker import Outcome, Receiver, Sent, check
from tests.support.paths import ROOT


@dataclass
class Record:
    """What the processes said before they died."""

    sent: dict[str, None] = field(default_factory=dict)
    acknowledged: dict[str, Position] = field(default_factory=dict)
    delivered: list[tuple[str, Position]] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Take one line; the last one of a killed process may be cut."""
        match line.split():
            case ["sent", key]:
                self.sent[key] = None
            case ["ack", key, position]:
                assert self.acknowledged.setdefault(key, parse_position(position)) == parse_position(position)
            case ["got", key, position]:
                self.delivered.append((key, parse_position(position)))

    def unknown(self) -> list[str]:
        """The keys whose publisher does not know what became of them."""
        return [key for key in self.sent if key not in self.acknowledged]

    def outcomes(self) -> list[Sent]:
        """For the checker."""
        return [
            Sent(
                key,
                "general",
                Outcome.ACKNOWLEDGED if key in self.acknowledged else Outcome.UNKNOWN,
                self.acknowledged.get(key),
            )
            for key in self.sent
        ]


def publish_and_kill(store: str, run: int, record: Record, lines: int) -> None:
    """Let a process publish until it has said `lines` lines, and kill it."""
    command = [sys.executable, "-m", "tests.support.brokers.publishing_child", store, f"r{run}"]
    process = subprocess.Popen([*command, *record.unknown()], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for _ in range(lines):
            record.read(process.stdout.readline())
        process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                record.read(line)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


async def whole_log(broker: Broker) -> Receiver:
    """Read everything, page by page."""
    page = await broker.history(ROOM, since=None, limit=0)
    start = position = Position(page.top.epoch, 0)
    receiver = Receiver("recovered", "general", start)
    while position != page.top:
        page = await broker.history(ROOM, since=position, limit=500)
        receiver.events += [(p.data.decode(), p.position) for p in page.publications]
        position = receiver.events[-1][1]
    assert [event[1].offset for event in receiver.events] == list(range(1, page.top.offset + 1))
    return receiver


@pytest.mark.parametrize("synchronous", ["full", "normal"])
@pytest.mark.timeout(1800)
def test_killed_while_publishing(
    tmp_path: Path, synchronous: str, soak: bool, record_property: Callable[[str, object], None]
) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    store = f"sqlite:{tmp_path / 'rt.db'}?synchronous={synchronous}"
    record = Record()
    for run in range(100 if soak else 6):
        publish_and_kill(store, run, record, lines=rng.randrange(1, 4_000))
    assert record.acknowledged

    async def recover() -> Receiver:
        broker = open_broker(store, KEEP_ALL)
        try:
            return await whole_log(broker)
        finally:
            await broker.close()

    recovered = asyncio.run(recover())
    live = Receiver("delivered", "general", Position(recovered.start.epoch, 2**62), events=record.delivered)
    verdict = check(record.outcomes(), [recovered, live])
    record_property("verdict", verdict.summary())
    print(f"seed {seed}: {verdict.summary()}")  # noqa: T201 - the checker's words belong in the test's log
    assert verdict.violations == []
    assert set(record.delivered) <= set(recovered.events)
