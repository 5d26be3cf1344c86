"""The lazy writer: in order, a task only while there is something, a budget, an end."""

from __future__ import annotations

import asyncio

import pytest
from rtcli_server.transports.send_queue import LazyWriter


class Peer:
    """What is written to: it takes items while `open` is set."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.writable: list[bool] = []
        self.writer = LazyWriter(self.send, size_of=len, budget=10, set_writable=self.set_writable)

    async def send(self, item: str) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.got.append(item)

    def set_writable(self, *, on: bool) -> None:
        self.writable.append(on)


@pytest.fixture
async def peer() -> Peer:
    return Peer()


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_items_come_in_order_and_the_task_ends(peer: Peer) -> None:
    before = tasks()
    for item in "abc":
        peer.writer.put(item)
    assert tasks() == before + 1
    await peer.writer.drain()
    assert peer.got == ["a", "b", "c"]
    await asyncio.sleep(0)
    assert tasks() == before
    peer.writer.put("d")
    await peer.writer.drain()
    assert peer.got == ["a", "b", "c", "d"]


async def test_it_tells_when_the_budget_is_passed_and_when_it_has_drained(peer: Peer) -> None:
    peer.open.clear()
    for item in ("12345", "12345", "1", "2"):
        peer.writer.put(item)
    assert peer.writable == [False]
    peer.open.set()
    await peer.writer.drain()
    assert not peer.writer.full
    assert peer.writable == [False, True]
    assert peer.writer.waiting_bytes == 0


async def test_nothing_is_sent_after_the_end(peer: Peer) -> None:
    peer.writer.put("a")
    peer.writer.end("z")
    peer.writer.put("b")
    await peer.writer.drain()
    assert peer.got == ["a", "z"]


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("gone")])
async def test_a_peer_that_is_gone_ends_it(peer: Peer, error: Exception) -> None:
    peer.error = error
    peer.writer.put("a")
    await peer.writer.drain()
    peer.error = None
    peer.writer.put("b")
    await peer.writer.drain()
    assert peer.got == []


async def test_stop_drops_what_waits(peer: Peer) -> None:
    peer.open.clear()
    for item in "abc":
        peer.writer.put(item)
    await asyncio.sleep(0)
    peer.writer.stop()
    peer.open.set()
    await asyncio.sleep(0)
    assert peer.got == []
