"""Writes to stdout without holding up the event loop: its reader may be slow, or have stopped."""

from __future__ import annotations

import asyncio
import select

from rtcli.terminal.console import Console

# A pipe that can be written to takes as much without blocking (pipe(7), PIPE_BUF).
_PIECE_BYTES = select.PIPE_BUF
_STDOUT = 1


async def write_stdout(console: Console, data: bytes) -> None:
    """Write all of it, as fast as the reader takes it. Raises as `Console.write_bytes` does.

    Meanwhile signals and the network are served. When it is cancelled, a part may have been written.
    """
    for start in range(0, len(data), _PIECE_BYTES):
        await _writable()
        console.write_bytes(data[start : start + _PIECE_BYTES])


async def _writable() -> None:
    poll = select.poll()
    poll.register(_STDOUT, select.POLLOUT)
    if poll.poll(0):  # also when it is closed, which the write will say
        return
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_writer(_STDOUT, ready.set)
    except OSError:  # epoll refuses what never blocks
        return
    try:
        await ready.wait()
    finally:
        loop.remove_writer(_STDOUT)
