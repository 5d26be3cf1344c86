"""WebSocket connections to servers that lie."""

from __future__ import annotations

import tracemalloc

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from rtcli.client.failures import ConnectionLostError
from rtcli.client.net.handshake import open_socket
from rtcli.errors import CliError, Exit
from tests.support.fakes.liars import (
    ENDLESS_FRAMES,
    ENDLESS_HANDSHAKES,
    drip,
    frame_head,
    head,
    lying_websocket,
    send_frames,
    send_pings_and_never_read,
    slow_handshake,
)
from tests.support.fakes.scripted_stream import Answer, fake_stream, status

MIB = 1_048_576


async def connect(port: int, *, timeout_s: float = 10.0) -> ClientConnection:
    return await open_socket(
        f"ws://127.0.0.1:{port}/ws",
        where="there",
        tls=None,
        headers=[("X-Api-Key", "s3cret"), ("Authorization", "Bearer t")],
        proxy=None,
        timeout_s=timeout_s,
        ping_interval_s=10.0,
        close_timeout_s=0.2,
    )


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (ENDLESS_FRAMES["huge"], 1009),
        ((frame_head(1, MIB + 1), b"x" * 65_536), 1009),
        ((frame_head(1, 1, fin=False) + b"x", frame_head(0, 65_535, fin=False) + b"x" * 65_535), 1009),
        (ENDLESS_FRAMES["empty fragments"], 1009),
        ((bytes([0xC1, 1, 0]), b""), 1002),  # compressed, though nobody agreed to it
        (ENDLESS_FRAMES["long ping"], 1002),
    ],
    ids=["huge", "over the limit", "fragments", "empty fragments", "compressed", "long ping"],
)
async def test_a_message_has_limits(frames: tuple[bytes, bytes], code: int) -> None:
    async with lying_websocket(send_frames(*frames)) as port:
        socket = await connect(port)
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert caught.value.sent is not None
    assert caught.value.sent.code == code
    assert peak < 8 * MIB


async def test_pongs_do_not_pile_up() -> None:
    async with lying_websocket(send_pings_and_never_read) as port:
        socket = await connect(port)
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 * MIB


async def failure(*answers: Answer, timeout_s: float = 10.0) -> CliError:
    """How a handshake ends that is answered like this."""
    async with fake_stream(*answers) as server:
        with pytest.raises(ConnectionLostError) as caught:
            await connect(server.port, timeout_s=timeout_s)
    return caught.value.failure.error


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_leads_to_another_server(code: int) -> None:
    async with fake_stream(head()) as thief:
        for location in (f"ws://127.0.0.1:{thief.port}/", f"ws://localhost:{thief.port}/ws", thief.url):
            error = await failure(status(code, headers=f"Location: {location}\r\n"))
            assert error.exit_code == Exit.SERVER
            if location != thief.url:  # http://, which is no address of a WebSocket
                assert "redirects to another server, ws://" in error.message
        assert thief.requests == []


async def test_a_redirect_within_the_origin_is_followed_with_everything() -> None:
    async with fake_stream(status(307, headers="Location: /elsewhere\r\n"), status(403)) as server:
        with pytest.raises(ConnectionLostError) as caught:
            await connect(server.port)
        assert caught.value.failure.error.exit_code == Exit.AUTH
        assert server.targets == ["/ws", "/elsewhere"]
        assert server.header("x-api-key") == ["s3cret"] * 2
        assert server.header("authorization") == ["Bearer t"] * 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("Location: ws://[\r\n", "an address that is none"),
        ("Location: ws://a:99999/\r\n", "an address that is none"),
        ("Location: ws://a:x/\r\n", "an address that is none"),
        ("Location: ws://\x80\x9b31m/\r\n", "an address that is none"),
        ("Location: ws://%ff:x@a/\r\n", "an address that is none"),
        ("Location: /a\r\nLocation: /b\r\n", "an address that is none"),
        ("Location: ws://a/#b\r\n", "no WebSocket server"),
        ("Location: /ws\r\n", "redirects more than 5 times"),
    ],
)
async def test_a_redirect_to_nowhere_is_an_error_like_any_other(fields: str, says: str) -> None:
    error = await failure(status(307, headers=fields))
    assert error.exit_code == Exit.SERVER
    assert says in error.message


async def test_of_what_is_said_twice_the_first_counts() -> None:
    async with fake_stream(status(503, headers="Retry-After: 7\r\nRetry-After: 8\r\n")) as server:
        with pytest.raises(ConnectionLostError) as caught:
            await connect(server.port)
    assert caught.value.failure.retry_after_s == 7.0


@pytest.mark.parametrize(
    ("lie", "exit_code"),
    [
        *((lie, Exit.SERVER) for lie in ENDLESS_HANDSHAKES.values()),
        (slow_handshake(), Exit.CANNOT_CONNECT),
        (drip(head(404), b"x"), Exit.CANNOT_CONNECT),
    ],
    ids=[*ENDLESS_HANDSHAKES, "slow head", "slow body"],
)
async def test_a_handshake_is_bounded_in_bytes_and_time(lie: Answer, exit_code: Exit) -> None:
    error = await failure(lie, timeout_s=0.5 if exit_code == Exit.CANNOT_CONNECT else 10.0)
    assert error.exit_code == exit_code
