"""The send queue: items in order, a task only while something waits, a budget, an end."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.transports.send_queue import SendQueue


class Peer:
    """A peer that takes items while `open` is set."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.writable: list[bool] = []
        self.aborted = 0
        self.queue = SendQueue(
            self.send, size_of=len, budget=10, set_writable=self.set_writable, abort=self.abort
        )

    async def send(self, item: str) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.got.append(item)

    async def drained(self) -> None:
        if self.queue._task is not None:
            await asyncio.wait([self.queue._task])

    def set_writable(self, *, on: bool) -> None:
        self.writable.append(on)

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


async def test_it_tells_when_the_budget_is_passed_and_when_it_has_drained(peer: Peer) -> None:
    peer.open.clear()
    for item in ("12345", "12345", "1", "2"):
        peer.queue.put(item)
    assert peer.writable == [False]
    peer.open.set()
    await peer.drained()
    assert not peer.queue.full
    assert peer.writable == [False, True]
    assert peer.queue.waiting_bytes == 0


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
