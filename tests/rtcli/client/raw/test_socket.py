"""Connections to servers that send what they like: in order, bounded, and ended for a reason."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

import rtcli.client.raw.socket as socket_module
from rtcli.client.failures import ConnectionLostError
from rtcli.client.raw.connection import RawTarget
from rtcli.client.raw.ending import By, Ending
from rtcli.client.raw.frames import Direction, Frame, Kind
from rtcli.client.raw.socket import GoneError, RawSocket, connect
from tests.support.fakes.echo_websocket import echo_websocket
from tests.support.fakes.liars import frame_head, lying_websocket, send_frames, send_pings_and_never_read
from tests.support.waiting import until

Then = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def to(port: int, *headers: tuple[str, str], max_bytes: int = 100_000) -> AsyncIterator[RawSocket]:
    where = f"127.0.0.1:{port}"
    socket = await connect(RawTarget(f"ws://{where}/", where, headers=headers, max_bytes=max_bytes))
    try:
        yield socket
    finally:
        socket.abort()
        while await socket.frame() is not None:
            pass


async def rest(socket: RawSocket) -> list[Frame]:
    frames = []
    while (frame := await socket.frame()) is not None:
        frames.append(frame)
    return frames


async def test_frames_of_both_ways_come_in_their_order_on_the_wire() -> None:
    with echo_websocket() as echo:
        async with to(echo.port) as socket:
            await socket.send("hello")
            await socket.send(b"\xff")
            await socket.send("ping")
            while (await socket.frame() or Frame(Direction.OUT, Kind.TEXT, b"")).kind is not Kind.PONG:
                pass
            await socket.send("fragments a b")
            await socket.send("close 4001 bye")
            frames = await rest(socket)
            assert socket.ending == Ending(4001, "bye", By.SERVER)
    came = [(frame.kind, frame.payload, frame.final) for frame in frames if frame.direction is Direction.IN]
    assert came == [
        (Kind.TEXT, b"a", False),
        (Kind.CONTINUATION, b"b", False),
        (Kind.CONTINUATION, b"", True),
        (Kind.CLOSE, b"\x0f\xa1bye", True),
    ]
    assert frames[-1] == Frame(Direction.OUT, Kind.CLOSE, b"\x0f\xa1bye")


async def test_a_ping_is_measured_and_a_closed_connection_takes_nothing() -> None:
    with echo_websocket() as echo:
        async with to(echo.port) as socket:
            assert 0 < await socket.ping() < 20
            assert 0 < await socket.ping(b"mine") < 20
            await socket.close(4000, "enough")
            await rest(socket)
            assert socket.ending == Ending(4000, "enough", By.US)
            with pytest.raises(GoneError):
                await socket.send("more")
            with pytest.raises(GoneError):
                await socket.ping()
    assert echo.closed == [(4000, "enough")]


async def test_header_fields_of_the_user_replace_ours() -> None:
    fields = (("Host", "elsewhere"), ("User-Agent", "mine"), ("Origin", "https://a.example"), ("X-A", "1"))
    with echo_websocket() as echo:
        async with to(echo.port, *fields):
            pass
    (head,) = echo.heads
    assert [head.get_all(name) for name, _ in fields] == [[value] for _, value in fields]


@pytest.mark.parametrize(
    ("start", "again", "ending"),
    [
        (frame_head(1, 2**40), b"x" * 65_536, (1009, "sent a message of more than 100000 bytes")),
        (b"", frame_head(1, 10, fin=False) + b"x" * 10, (1002, "expected a continuation frame")),
        (frame_head(3, 0), b"", (1002, "broke the WebSocket protocol: invalid opcode")),
        (frame_head(9, 126) + b"x" * 126, b"", (1002, "control frame too long")),
        (frame_head(0, 0), b"", (1002, "unexpected continuation frame")),
    ],
    ids=["huge", "no continuation", "opcode", "long ping", "from the middle"],
)
async def test_frames_that_no_client_takes(
    monkeypatch: pytest.MonkeyPatch, start: bytes, again: bytes, ending: tuple[int, str]
) -> None:
    monkeypatch.setattr(socket_module, "CLOSE_TIMEOUT_S", 0.05)  # this server closes nothing
    tracemalloc.start()
    try:
        async with lying_websocket(send_frames(start, again)) as port, to(port) as socket:
            await rest(socket)
            assert (socket.ending.code, socket.ending.by) == (ending[0], By.US)
            assert ending[1] in socket.ending.problem
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize(
    "flood",
    [
        send_frames(b"", (frame_head(1, 1_000) + b"x" * 1_000) * 50),
        send_frames(b"", frame_head(1, 0) * 10_000),
        send_frames(b"", (frame_head(9, 100) + b"p" * 100) * 100),
        send_frames(frame_head(1, 0, fin=False), frame_head(0, 0, fin=False) * 10_000),
    ],
    ids=["texts", "empty texts", "pings", "empty fragments"],
)
async def test_a_flood_that_nobody_reads_waits_at_the_server(flood: Then) -> None:
    tracemalloc.start()
    try:
        async with lying_websocket(flood) as port, to(port) as socket:
            waiting = socket._connection.waiting
            await until(lambda: waiting.paused or waiting.ended, why="it still reads")
            before = len(waiting._frames)
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert len(waiting._frames) == before
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 96 * 1024 * 1024, peak  # what one read of the socket may have: 256 KiB of empty frames


async def test_a_server_that_never_reads_our_pongs_is_left() -> None:
    async with lying_websocket(send_pings_and_never_read) as port, to(port) as socket:
        async with asyncio.timeout(20):
            await rest(socket)
        assert socket.ending.code == 1006


async def test_a_message_larger_than_what_may_be_unread_is_sent() -> None:
    with echo_websocket() as echo:
        async with to(echo.port, max_bytes=5_000_000) as socket:
            sending = asyncio.ensure_future(socket.send("x" * 4_000_000))
            while (frame := await socket.frame()) is not None and frame.direction is Direction.OUT:
                pass
            await sending
            assert frame is not None
            assert len(frame.payload) == 4_000_000


async def test_a_server_that_does_not_answer_pings_is_left_and_one_that_nobody_reads_is_not() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.wait_closed()

    async with lying_websocket(silent) as port, to(port) as socket:
        await socket.keep_alive(0.05)
        await rest(socket)
        assert socket.ending == Ending(1006, "", By.NETWORK, "did not answer a ping within 0.05 s")
    flood = send_frames(b"", (frame_head(1, 1_000) + b"x" * 1_000) * 50)
    async with lying_websocket(flood) as port, to(port) as socket:
        await until(lambda: socket._connection.waiting.paused, why="it still reads")
        keeping = asyncio.ensure_future(socket.keep_alive(0.05))
        for _ in range(10):
            await asyncio.sleep(0.05)
        assert not keeping.done()
        keeping.cancel()


async def test_a_subprotocol_that_was_not_offered() -> None:
    def choose(_connection: ServerConnection, _request: Request, response: Response) -> None:
        response.headers["Sec-WebSocket-Protocol"] = "other"

    async def quiet(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(quiet, "127.0.0.1", 0, process_response=choose) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(ConnectionLostError) as caught:
            async with to(port):
                pass
    error = caught.value.failure.error
    assert error.message == f"127.0.0.1:{port} chose what was not offered: no subprotocols supported"
    assert error.exit_code == 6
    assert "rtcli" not in error.hint
