"""Servers that lie to their clients: answers without an end, bombs, drips, redirects to others.

Each is an answer of `fake_stream`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.support.fakes.scripted_stream import break_off

Lie = Callable[[asyncio.StreamWriter], Awaitable[None]]
BLOCK_BYTES = 1_048_576  # that one block of a bomb becomes
BLOCKS = 4_096  # of a bomb


def head(status: int = 200, **fields: str) -> bytes:
    """The head of an answer whose body ends with the connection. `_` in names is `-`."""
    lines = [f"HTTP/1.1 {status} X", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def endless(start: bytes, again: bytes) -> Lie:
    """Send `start`, and then `again`, until the client goes."""

    async def lie(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0)

    return lie


def drip(start: bytes, then: bytes, *, every_s: float = 0.02) -> Lie:
    """Send `start`, and then `then` byte by byte, again and again, until the client goes."""

    async def lie(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            for byte in then:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(every_s)

    return lie


def bomb(fill: bytes = b" ", *, wbits: int = zlib.MAX_WBITS | 16) -> tuple[bytes, bytes]:
    """How a compressed stream begins, and a block of about 1 KiB that stands for 1 MiB, which may follow."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    text = (fill * (BLOCK_BYTES // len(fill) + 1))[:BLOCK_BYTES]
    start = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)
    return start, packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)


def gzip_bomb(fill: bytes = b" ", **fields: str) -> Lie:
    """An answer of about 4 MB that becomes 4 GB."""

    async def lie(writer: asyncio.StreamWriter) -> None:
        start, block = bomb(fill)
        writer.write(head(200, Content_Encoding="gzip", **fields) + start)
        for _ in range(BLOCKS):
            writer.write(block)
            await writer.drain()

    return lie


def frame_head(opcode: int, length: int, *, fin: bool = True) -> bytes:
    """The head of a frame of a server (RFC 6455, section 5.2)."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if length < 126:
        return first + bytes([length])
    if length < 65_536:
        return first + bytes([126]) + length.to_bytes(2, "big")
    return first + bytes([127]) + length.to_bytes(8, "big")


@asynccontextmanager
async def lying_websocket(
    then: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Take every handshake, and then do as `then` says. Gives the port."""
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running[task] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await reader.readuntil(b"\r\n\r\n")
            fields = (line.partition(b": ") for line in request.split(b"\r\n"))
            key = next(value for name, _, value in fields if name.lower() == b"sec-websocket-key")
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
            )
            await then(reader, writer)
        writer.transport.abort()

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # what is not read shows at once
    server = await asyncio.start_server(serve, sock=listening)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await break_off(running)


async def send_pings_and_never_read(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send pings without an end, and read none of the pongs."""
    writer.transport.pause_reading()  # type: ignore[attr-defined] # of asyncio.Transport
    while True:
        writer.write((frame_head(9, 125) + b"x" * 125) * 100)
        await writer.drain()
        await asyncio.sleep(0)


def send_frames(
    start: bytes, again: bytes
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Send `start`, and then `again` without an end."""

    async def then(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endless(start, again)(writer)

    return then


ENDLESS_FRAMES: dict[str, tuple[bytes, bytes]] = {
    "huge": (frame_head(1, 2**40), b"x" * 65_536),
    "empty fragments": (frame_head(1, 0, fin=False), frame_head(0, 0, fin=False) * 1_000),
    "long ping": (b"", frame_head(9, 126) + b"x" * 126),
}
"""What no client takes after the handshake, for `send_frames`."""

ENDLESS_HANDSHAKES: dict[str, Lie] = {
    "fields": endless(b"HTTP/1.1 101 X\r\n", b"X-A: b\r\n" * 100),
    "field": endless(b"HTTP/1.1 101 X\r\nX: ", b"x" * 9_999),
    "body": endless(head(404), b"x" * 65_536),
}
"""Answers to a handshake that no client reads to an end that they do not have."""


def slow_handshake() -> Lie:
    """Accept a handshake byte by byte, in a field without an end."""
    return drip(b"", head(101)[:-2] + b"X-A: " + b"x" * 1_000)
