"""Reads lines from stdin without a thread: a pipe, a terminal, a file, /dev/null, or closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

_CHUNK_BYTES = 65_536


async def read_lines(descriptor: int = 0, *, max_bytes: int) -> AsyncGenerator[str | None]:
    """Yield each line as `read_byte_lines` does, as text. Bytes that are not UTF-8 become U+FFFD."""
    async with aclosing(read_byte_lines(descriptor, max_bytes=max_bytes)) as lines:
        async for line in lines:
            yield None if line is None else line.decode("utf-8", "replace")


async def read_byte_lines(descriptor: int = 0, *, max_bytes: int) -> AsyncGenerator[bytes | None]:
    """Yield each line without its line end (LF or CRLF), which the last line need not have.

    A line of more than `max_bytes` yields None. At most one chunk is read ahead, so a slow consumer slows the
    writer down.
    """
    pending = bytearray()
    too_long = False
    while chunk := await _read(descriptor):
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            pending += line
            yield None if too_long or len(pending) > max_bytes else _without_cr(pending)
            pending.clear()
            too_long = False
        pending += rest
        if len(pending) > max_bytes + 1:  # one byte may be a CR, which does not count
            too_long = True
            pending.clear()
    if too_long or pending:
        yield None if too_long else _without_cr(pending)


async def read_all(descriptor: int = 0, *, max_bytes: int) -> bytes | None:
    """Read to the end; None when that is more than `max_bytes`."""
    data = bytearray()
    while chunk := await _read(descriptor):
        data += chunk
        if len(data) > max_bytes:
            return None
    return bytes(data)


def _without_cr(line: bytearray) -> bytes:
    return bytes(line.removesuffix(b"\r"))


async def _read(descriptor: int) -> bytes:
    """The next bytes; none at the end, and if the descriptor is closed."""
    try:
        await _readable(descriptor)
        return os.read(descriptor, _CHUNK_BYTES)
    except OSError:
        return b""


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:
        # epoll refuses what never blocks: regular files and /dev/null.
        await asyncio.sleep(0)
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
