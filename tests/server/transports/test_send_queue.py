"""The send queue: items in order, a task only while something waits, a budget, an end."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.connections.send_budget import SendBudget
from rtcli_server.transports.send_queue import SendQueue


class Peer:
    """A peer that takes items while `open` is set."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.told: list[str] = []
        self.aborted = 0
        budget = SendBudget(80, 1_000)  # busy over 10, full over 80
        self.queue = SendQueue(self.send, size_of=len, budget=budget, observer=self, abort=self.abort)

    async def send(self, item: str) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.got.append(item)

    async def drained(self) -> None:
        if self.queue._task is not None:
            await asyncio.wait([self.queue._task])

    def set_busy(self, *, on: bool) -> None:
        self.told.append("busy" if on else "drained")

    def set_full(self) -> None:
        self.told.append("full")

    def abort(self) -> None:
        self.aborted += 1
        self.queue.stop()


@pytest.fixture
async def peer() -> Peer:
    return Peer()


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_items_come_in_order_and_the_task_ends(peer: Peer) -> None:
    before = tasks()
    for item in "abc":
        peer.queue.put(item)
    assert tasks() == before + 1
    await peer.drained()
    assert peer.got == ["a", "b", "c"]
    await asyncio.sleep(0)
    assert tasks() == before
    peer.queue.put("d")
    await peer.drained()
    assert peer.got == ["a", "b", "c", "d"]


async def test_it_tells_once_when_a_mark_is_passed_and_when_it_has_drained(peer: Peer) -> None:
    peer.open.clear()
    for item in ("12345", "12345", "1", "2"):
        peer.queue.put(item)
    assert peer.told == ["busy"]
    for _ in range(8):
        peer.queue.put("1234567890")
    assert peer.told == ["busy", "full"]
    peer.open.set()
    await peer.drained()
    assert (peer.queue.busy, peer.queue.full) == (False, False)
    assert peer.told == ["busy", "full", "drained"]
    assert peer.queue.waiting_bytes == 0


async def test_what_waits_behind_it_counts_too(peer: Peer) -> None:
    budget = SendBudget(80, 1_000)
    queue = SendQueue(
        peer.send, size_of=len, budget=budget, observer=peer, abort=peer.abort, beyond=lambda: 7
    )
    peer.open.clear()
    queue.put("abc")
    assert queue.waiting_bytes == 10
    peer.open.set()


async def test_nothing_is_sent_after_the_end(peer: Peer) -> None:
    peer.queue.put("a")
    peer.queue.end("z")
    peer.queue.put("b")
    await peer.drained()
    assert peer.got == ["a", "z"]


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("gone")])
async def test_a_peer_that_is_gone_ends_it(peer: Peer, error: Exception) -> None:
    peer.error = error
    peer.queue.put("a")
    await peer.drained()
    peer.error = None
    peer.queue.put("b")
    await peer.drained()
    assert peer.got == []


async def test_stop_drops_what_waits(peer: Peer) -> None:
    peer.open.clear()
    for item in "abc":
        peer.queue.put(item)
    await asyncio.sleep(0)
    peer.queue.stop()
    peer.open.set()
    await asyncio.sleep(0)
    assert peer.got == []


async def test_whatever_else_is_raised_is_logged_and_cuts_the_connection(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.error = KeyError("of all things")
    for item in "abc":
        peer.queue.put(item)
    await peer.drained()
    assert peer.aborted == 1
    assert "KeyError: 'of all things'" in caplog.text
    peer.queue.put("d")
    await peer.drained()
    assert peer.got == []
