"""Replies of one loop turn: each connection is flushed, whatever another one raises."""

from __future__ import annotations

import asyncio

import pytest

from rtcli_server.connections.reply_flusher import ReplyFlusher


class Replies:
    """A connection that holds replies back."""

    def __init__(self, *, flush_fails: bool = False, abort_fails: bool = False) -> None:
        self.flush_fails = flush_fails
        self.abort_fails = abort_fails
        self.flushed = 0
        self.aborted = 0

    def flush(self) -> None:
        if self.flush_fails:
            raise ValueError("of all things")
        self.flushed += 1

    def abort(self) -> None:
        self.aborted += 1
        if self.abort_fails:
            raise KeyError("and again")


async def test_all_of_a_turn_are_flushed_in_the_next() -> None:
    flusher, connections = ReplyFlusher(), [Replies() for _ in range(3)]
    for connection in connections:
        flusher.add(connection)
    assert [connection.flushed for connection in connections] == [0, 0, 0]
    await asyncio.sleep(0)
    assert [connection.flushed for connection in connections] == [1, 1, 1]


@pytest.mark.parametrize("abort_fails", [False, True])
async def test_one_that_raises_is_cut_and_stops_nobody_else(
    caplog: pytest.LogCaptureFixture, *, abort_fails: bool
) -> None:
    flusher = ReplyFlusher()
    connections = [Replies(), Replies(flush_fails=True, abort_fails=abort_fails), Replies()]
    for connection in connections:
        flusher.add(connection)
    await asyncio.sleep(0)
    assert [connection.flushed for connection in connections] == [1, 0, 1]
    assert [connection.aborted for connection in connections] == [0, 1, 0]
    assert "ValueError: of all things" in caplog.text
    flusher.add(connections[0])
    await asyncio.sleep(0)
    assert connections[0].flushed == 2, "the next turn comes"
