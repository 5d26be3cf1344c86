"""WebSocket connections of the load generator to servers that lie."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tracemalloc
from typing import NamedTuple

import pytest
from typing_extensions import override

from rtcli.load.errors import RefusedError
from rtcli.load.net.source_addresses import SourceAddresses
from rtcli.load.net.websocket import Receiver, WebSocketConnection, open_websocket
from rtcli.load.scenario.steps import Kill
from tests.support.fakes.liars import (
    ENDLESS_FRAMES,
    ENDLESS_HANDSHAKES,
    frame_head,
    lying_websocket,
    send_frames,
    send_pings_and_never_read,
    slow_handshake,
)
from tests.support.fakes.scripted_stream import Answer, fake_stream, status
from tests.support.servers.watch import descriptors
from tests.support.waiting import until

MIB = 1_048_576


class End(NamedTuple):
    code: int
    reason: str


class Ends(Receiver):
    """Waits for the end of a connection."""

    def __init__(self) -> None:
        self.end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.frames: list[bytes] = []
        self.enough = asyncio.Event()

    @override
    def on_frame(self, data: bytes, now: int) -> None:
        self.frames.append(data)
        self.enough.set()

    @override
    def on_closed(self, code: int, reason: str) -> None:
        self.end.set_result(End(code, reason))


async def connect(port: int, receiver: Receiver, *, timeout_s: float = 10.0) -> WebSocketConnection:
    return await open_websocket(
        receiver,
        f"ws://127.0.0.1:{port}/ws",
        sources=SourceAddresses("127.0.0.1", port, socket.AF_INET),
        headers=[("X-Api-Key", "s3cret")],
        tls=None,
        timeout=timeout_s,
    )


async def kill(connection: WebSocketConnection) -> None:
    """Lose the connection, and wait until nothing of it is left."""
    transport = connection._transport
    connection.kill(Kill.RST)
    if transport is not None:
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(transport.wait_disconnected(), 10)


@pytest.mark.parametrize(
    ("start", "again"),
    [
        *ENDLESS_FRAMES.values(),
        (frame_head(1, 1, fin=False) + b"x", frame_head(0, 65_536, fin=False) + b"x" * 65_536),
        (frame_head(1, 1, fin=False) + b"x" + frame_head(0, 16 * MIB) + b"x" * 16 * MIB, b""),
        (frame_head(1, 0, fin=False) * 4_096 + frame_head(0, 0), frame_head(0, 0)),
    ],
    ids=[*ENDLESS_FRAMES, "fragments", "last fragment", "last empty fragment"],
)
async def test_a_message_has_limits(start: bytes, again: bytes) -> None:
    async with lying_websocket(send_frames(start, again)) as port:
        receiver = Ends()
        tracemalloc.start()
        try:
            await connect(port, receiver)
            async with asyncio.timeout(10):
                end = await receiver.end
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert end.code == 1006
    assert receiver.frames == []
    assert peak < 40 * MIB


async def test_fragments_within_the_limits_are_one_message() -> None:
    parts = frame_head(1, 1, fin=False) + b"a" + frame_head(0, 0, fin=False) + frame_head(0, 1) + b"b"
    async with lying_websocket(send_frames(parts * 5_000, b"")) as port:
        receiver = Ends()
        connection = await connect(port, receiver)
        async with asyncio.timeout(10):
            await receiver.enough.wait()
        await kill(connection)
    assert set(receiver.frames) == {b"ab"}


async def test_pings_are_answered() -> None:
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame_head(9, 2) + b"hi")
        await writer.drain()
        answered.set_result(await reader.readexactly(2 + 4 + 2))

    async with lying_websocket(ping) as port, asyncio.timeout(10):
        receiver = Ends()
        await connect(port, receiver)
        pong = await answered
        await receiver.end  # the server leaves
    mask, masked = pong[2:6], pong[6:]
    assert pong[:2] == bytes([0x8A, 0x82])
    assert bytes(a ^ b for a, b in zip(masked, mask, strict=False)) == b"hi"


async def test_pongs_do_not_pile_up() -> None:
    async with lying_websocket(send_pings_and_never_read) as port:
        connection = await connect(port, Ends())
        transport = connection._transport
        assert transport is not None
        await until(lambda: connection.received > 16 * MIB, why="too few pings came")
        waiting = transport.underlying_transport.get_write_buffer_size()
        await kill(connection)
    assert 0 < waiting < 1 * MIB


@pytest.mark.parametrize(
    "lie",
    [*ENDLESS_HANDSHAKES.values(), status(302, headers="Location: ws://127.0.0.1:9/\r\n")],
    ids=[*ENDLESS_HANDSHAKES, "redirect"],
)
async def test_a_handshake_is_bounded(lie: Answer) -> None:
    async with fake_stream(lie) as server:
        with pytest.raises(RefusedError):
            await connect(server.port, Ends())


async def test_a_handshake_has_a_time_for_all_of_it() -> None:
    async with fake_stream(slow_handshake()) as server:
        with pytest.raises(TimeoutError):
            await connect(server.port, Ends(), timeout_s=0.5)


async def read_to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing, and end when the client does."""
    with contextlib.suppress(ConnectionError):
        await reader.read(-1)
    writer.transport.abort()


async def test_a_handshake_that_is_given_up_at_any_moment_leaves_no_descriptor_and_is_not_reported() -> None:
    async with lying_websocket(read_to_the_end) as port:
        before = descriptors(os.getpid())
        receivers = [Ends() for _ in range(40)]
        for turns, receiver in enumerate(receivers):
            opening = asyncio.create_task(connect(port, receiver))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            (end,) = await asyncio.gather(opening, return_exceptions=True)
            if isinstance(end, WebSocketConnection):
                await kill(end)
        await until(lambda: descriptors(os.getpid()) == before)
        assert not [receiver for receiver in receivers if receiver.end.done()]
