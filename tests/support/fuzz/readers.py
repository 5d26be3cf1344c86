"""The readers of a server as functions of bytes: each raises AssertionError for what no input may cause.

The first byte of an input says into how large pieces the rest is cut (0: it is fed whole), and the rest is
what a client sends. After each input, nothing of it may be left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from rtcli.protocol.tokens import create_token
from tests.support.clients.raw_http import handshake_bytes
from tests.support.fuzz.memory_transport import MemoryTransport
from tests.support.fuzz.server import SECRET, Request, Server
from tests.support.fuzz.tcp_pairs import Client, Pairs

CONTINUE = 100  # is not sent when the body is there already (RFC 9110, section 10.1.1)
ALLOWED = {501, 505}  # a method or a version that is not known


class Reader(Protocol):
    """A reader of one input after the other."""

    def __call__(self, data: bytes) -> None:
        """Read one input. Raises AssertionError."""
        ...

    def close(self) -> None:
        """Stop the server."""
        ...


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut into pieces; 0 leaves it whole."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]


class Understood(NamedTuple):
    """The requests that the application got, and the statuses of all answers."""

    requests: list[Request]
    statuses: list[int]


class HttpReader:
    """Reads HTTP/1.1, and hands a WebSocket over to the portable transport.

    How the bytes are cut changes nothing where the application waits for whole requests.
    """

    def __init__(self) -> None:
        self._server = Server(fast=False)

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def __call__(self, data: bytes) -> None:
        """Read the input whole and in pieces, and compare what the server has understood and answered."""
        how, sent = (data[0], data[1:]) if data else (0, b"")
        size, patient = how % 16, how < 128
        self._server.recorder.patient = patient
        whole = self._server.loop.run_until_complete(self._read([sent]))
        cut = self._server.loop.run_until_complete(self._read(pieces(sent, size or 1)))
        # What comes together with a handshake is refused, and what comes later is not.
        is_timing = not patient or b"websocket" in sent.lower()
        assert whole == cut or is_timing, f"whole: {whole}\ncut: {cut}"

    async def _read(self, parts: list[bytes]) -> Understood:
        server = self._server
        server.recorder.requests = []
        transport = MemoryTransport(server.loop, server.protocol())
        for part in parts:
            await server.settle(lambda: transport.reading)
            if transport.is_closing():
                break
            transport.feed(part)
        await server.settle(lambda: not server.state.tasks)
        statuses = [int(data[9:12]) for data in transport.written if data.startswith(b"HTTP/1.1 ")]
        statuses = [status for status in statuses if status != CONTINUE]
        transport.end()
        await server.check_nothing_is_left()
        assert all(status < 500 or status in ALLOWED for status in statuses), statuses
        assert len(statuses) <= len(server.recorder.requests) + 1  # one may be refused before the application
        return Understood(server.recorder.requests, statuses)


class WebSocketReader:
    """Reads frames of an admitted client, over real sockets."""

    def __init__(self, *, fast: bool) -> None:
        self._server = Server(fast=fast)
        self._pairs = Pairs()

    def close(self) -> None:
        """Stop the server."""
        self._server.close()
        self._pairs.close()

    def __call__(self, data: bytes) -> None:
        """Send the input after a handshake, and end; what comes back must be frames (RFC 6455, 5.2)."""
        size, sent = (data[0] * 2, data[1:]) if data else (0, b"")
        self._server.loop.run_until_complete(self._read(pieces(sent, size)))

    async def _read(self, parts: list[bytes]) -> None:
        server, loop = self._server, self._server.loop
        ours, theirs = self._pairs.new()
        await loop.connect_accepted_socket(server.protocol, theirs)
        client = Client(ours, loop)
        token = create_token(SECRET, sub="7", now=time.time(), ttl_s=600)
        await client.send(handshake_bytes(f"/api/v1/ws?token={token}"))
        head = await client.read(b"\r\n\r\n")
        assert b" 101 " in head, head
        for part in parts:
            await client.send(part)
            await asyncio.sleep(0)
        answer = head.partition(b"\r\n\r\n")[2] + await client.end()
        check_frames(answer)
        await server.check_nothing_is_left()


def check_frames(data: bytes) -> None:
    """Fail unless these are whole frames as a server may send them; what an abort cut off does not count."""
    while len(data) >= 2:
        assert not data[0] & 0x70, "a reserved bit"
        assert not data[1] & 0x80, "a mask"
        assert data[0] & 0xF in {0x1, 0x8, 0x9, 0xA}, "an opcode that the server has no use for"
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        payload = data[at : at + size]
        if len(payload) == size and data[0] & 0xF == 0x1:
            payload.decode()
        data = data[at + size :]


READERS: dict[str, Callable[[], Reader]] = {
    "http": HttpReader,
    "picows": lambda: WebSocketReader(fast=True),
    "portable": lambda: WebSocketReader(fast=False),
}
