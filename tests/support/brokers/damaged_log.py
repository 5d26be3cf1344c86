"""Ways to damage the files of a SQLite log at random, and a witness of what it may say afterwards."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from rtcli.protocol.exclusion import Exclusion
from rtcli.protocol.position import Position
from rtcli_server.broker import BrokerUnavailableError, InvalidStoreError, Retention
from tests.support.brokers.running import Running, running
from tests.support.brokers.sqlite_files import url, wal_of

ROOMS = ("user:a", "user:b", "user:c")
KEEP_ALL = Retention(max_count=10_000)
PAGE, FRAME = 4096, 4096 + 24
DAMAGED = "the log is damaged"
Content: TypeAlias = tuple[bytes, Exclusion | None]


def damage(rng: random.Random, path: Path) -> str:
    """Damage the file or its write-ahead log, and say how. What is empty or not there is left alone."""
    target = path if rng.random() < 0.4 else wal_of(path)
    size = target.stat().st_size if target.exists() else 0
    if size == 0:
        return "nothing"
    how = rng.choice(("cut", "cut at a page", "bits", "zeros", "noise", "pages swapped", "page repeated"))
    content = bytearray(target.read_bytes())
    unit, head = (PAGE, 0) if target == path else (FRAME, 32)
    pages = max(1, (size - head) // unit)
    one, other = (head + rng.randrange(pages) * unit for _ in range(2))
    match how:
        case "cut":
            content = content[: rng.randrange(size)]
        case "cut at a page":
            content = content[:one]
        case "bits":
            for _ in range(rng.randrange(1, 9)):
                content[rng.randrange(size)] ^= 1 << rng.randrange(8)
        case "zeros" | "noise":
            start, length = rng.randrange(size), rng.randrange(1, 6000)
            length = min(length, size - start)
            content[start : start + length] = bytes(length) if how == "zeros" else rng.randbytes(length)
        case "pages swapped":
            first, second = content[one : one + unit], content[other : other + unit]
            content[one : one + unit], content[other : other + unit] = second, first
        case "page repeated":
            content[other : other + unit] = content[one : one + unit]
    # In place, as a bad disk or another program does it: the running process has this file open.
    with target.open("r+b") as file:
        file.write(content)
    os.truncate(target, len(content))
    return f"{how} in the {'file' if target == path else '-wal'}"


@dataclass
class Witness:
    """Knows every position that anybody was ever told, and what it means."""

    caplog: pytest.LogCaptureFixture
    known: dict[tuple[str, Position], Content] = field(default_factory=dict)
    top: dict[str, Position] = field(default_factory=dict)  # of the latest acknowledgement
    number: int = 0

    def fork(self) -> Witness:
        """Another one that knows the same: for a copy of the log, which goes its own way from here."""
        return replace(self, known=dict(self.known), top=dict(self.top))

    async def publish(self, log: Running, rng: random.Random, count: int) -> None:
        """Publish to random rooms. Raises BrokerUnavailableError."""
        for _ in range(count):
            room = rng.choice(ROOMS)
            self.number += 1
            data = b'{"n":%d,"p":"%s"}' % (self.number, b"x" * rng.choice((10, 200, 3_000, 9_000)))
            key = f"k{self.number}" if rng.random() < 0.5 else None
            exclude = Exclusion(frozenset({f"u{self.number}"})) if self.number % 3 == 0 else None
            published = await log.broker.publish(
                room, "e", data, key=key, time_ms=4_000_000_000_000, exclude=exclude
            )
            self._note(room, published.position, (data, exclude))
            self.top[room] = published.position

    def _note(self, room: str, position: Position, content: Content) -> None:
        assert self.known.setdefault((room, position), content) == content, f"another message at {position}"

    async def look(self, log: Running) -> str:
        """Read everything and publish; return what came of it: `whole`, `told` or `unavailable`."""
        said = self.damages()
        try:
            told = [await self._read(log, room) for room in ROOMS]
            await self.publish(log, random.Random(self.number), 6)
        except BrokerUnavailableError:
            assert await log.broker.ready() is False
            assert self.damages() == max(1, said)
            return "unavailable"
        return "told" if any(told) else "whole"

    async def _read(self, log: Running, room: str) -> bool:
        """Read a room; return whether clients of before are told that their positions are of the past."""
        page = await log.page(room)
        for found in page.publications:
            self._note(room, found.position, (found.data, found.exclude))
        top = self.top.get(room)
        if top is None:
            return False
        if page.top.epoch != top.epoch:
            return True
        there = {found.position for found in page.publications}
        missing = {at for name, at in self.known if name == room and at.epoch == top.epoch} - there
        assert not missing, f"lost: {sorted(missing)} of {top}"
        return False

    async def reopen(self, path: Path) -> str:
        """Start a process on what is there; return what came of it, `refused` among others."""
        self.caplog.clear()
        try:
            async with running(url(path, "?synchronous=normal"), KEEP_ALL) as log:
                return await self.look(log)
        except InvalidStoreError as refusal:
            return "refused" if str(path) in str(refusal) else f"an error without the path: {refusal}"

    def damages(self) -> int:
        """How many lines say that the log is damaged."""
        return sum(DAMAGED in record.getMessage() for record in self.caplog.records)
