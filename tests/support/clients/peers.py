"""Thousands of clients in one process: raw sockets that keep what they hear, and can stop reading."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from typing_extensions import override

from rtcli.protocol.sse import SSEParser
from rtcli.protocol.tokens import create_token
from tests.support.clients.raw_http import CLOSE, PING, PONG, TEXT, encode, handshake_bytes
from tests.support.servers.server_process import LOOPBACK, SECRET
from tests.support.waiting import all_at_once

AT_ONCE = 100  # handshakes under way
P = TypeVar("P", bound="Peer")


def token(sub: str, *, ttl_s: float = 3_600.0, scope: str | None = None, token_id: str | None = None) -> str:
    """A token that the servers of the fault tests take."""
    return create_token(SECRET, sub=sub, now=time.time(), ttl_s=ttl_s, scope=scope, token_id=token_id)


class Peer(asyncio.Protocol):
    """One connection. `ready` is done when it has what it asked for; `lost` when the connection is gone."""

    transport: asyncio.Transport

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self.head: str | None = None
        self.data = b""
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.closing: dict[str, Any] | None = None  # the data of a `closing`

    @property
    def status(self) -> int | None:
        """The HTTP status, once there is one."""
        return None if self.head is None else int(self.head.split(" ", 2)[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.head is None and b"\r\n\r\n" in self.data:
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            self.head = head.decode("latin-1")
            self.answered()
        if self.head is not None:
            self.read()

    @property
    def what_came(self) -> str:
        """What came after the head, for those who wonder why it was lost."""
        return repr(self.data)

    def answered(self) -> None:
        """The response's head is here."""

    def read(self) -> None:
        """Take what can be understood out of `data`."""

    def eof_received(self) -> None:
        """The server is done; nothing more is said from here either."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        if not self.ready.done():
            self.ready.set_exception(
                ConnectionError(f"lost before it was ready: {self.head} {self.what_came}")
            )
            self.ready.exception()  # whoever waits is told; nobody has to
        self.lost.set_result(None)


class WsPeer(Peer):
    """A WebSocket that joins `rooms`, answers pings and closes, and keeps every message."""

    def __init__(
        self,
        sub: str,
        rooms: Iterable[str] = (),
        *,
        path: str = "/api/v1/ws",
        bearer: str | None = None,
        answers_close: bool = True,
    ) -> None:
        super().__init__(handshake_bytes(f"{path}?token={bearer or token(sub)}"))
        self._missing = set(rooms)
        self._answers_close = answers_close
        self.messages: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.close_reason = ""

    @property
    @override
    def what_came(self) -> str:
        return f"{self.messages} {self.data!r} close {self.close_code} {self.close_reason!r}"

    def answered(self) -> None:
        for room in self._missing:
            self.send("join_room", room=room)

    def send(self, type_: str, id_: str | None = None, **data: object) -> None:
        """Send one message of the protocol."""
        message: dict[str, Any] = {"type": type_, "data": data}
        if id_ is not None:
            message["id"] = id_
        self.transport.write(encode(TEXT, json.dumps(message).encode()))

    def read(self) -> None:
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == TEXT:
                self.on_message(json.loads(payload))
            elif opcode == PING:
                self.transport.write(encode(PONG, payload))
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                self.close_reason = payload[2:].decode()
                if self._answers_close:
                    self.transport.write(encode(CLOSE, payload[:2]))

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame (RFC 6455, section 5.2; a server does not mask)."""
        data = self.data
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        if len(data) < at + size:
            return None
        self.data = data[at + size :]
        return data[0] & 0xF, data[at : at + size]

    def on_message(self, message: dict[str, Any]) -> None:
        """A message has come."""
        self.messages.append(message)
        if message["type"] == "closing":
            self.closing = message["data"]
        elif message["type"] == "ping":
            self.send("pong")
        elif message["type"] == "room_joined":
            self._missing.discard(message["data"]["room"])
        if not self._missing and not self.ready.done():
            self.ready.set_result(None)

    def of_type(self, type_: str) -> list[dict[str, Any]]:
        """The data of all messages of that type."""
        return [message.get("data", {}) for message in self.messages if message["type"] == type_]


class StreamPeer(Peer):
    """An event stream of `rooms`."""

    def __init__(
        self,
        sub: str,
        rooms: Iterable[str] = (),
        *,
        bearer: str | None = None,
        last_event_id: str | None = None,
    ) -> None:
        query = urlencode([("room", room) for room in rooms])
        resume = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
        super().__init__(
            f"GET /api/v1/events/stream?{query} HTTP/1.1\r\nHost: a\r\n{resume}"
            f"Authorization: Bearer {bearer or token(sub)}\r\n\r\n".encode()
        )
        self._parser = SSEParser()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._length: int | None = None  # of a body that is no stream
        self.ended = False  # by its last chunk (RFC 9112, section 7.1)

    @property
    def retry_ms(self) -> int | None:
        """The last `retry`."""
        return self._parser.retry_ms

    def answered(self) -> None:
        for line in (self.head or "").lower().split("\r\n"):
            if line.startswith("content-length:"):
                self._length = int(line.partition(":")[2])

    def read(self) -> None:
        if self._length is not None:
            if len(self.data) >= self._length:
                self._feed(self.data)
                self.data, self.ended = b"", True
                self.transport.close()
            return
        while b"\r\n" in self.data:
            size_text, _, rest = self.data.partition(b"\r\n")
            size = int(size_text, 16)
            if len(rest) < size + 2:
                return
            chunk, self.data = rest[:size], rest[size + 2 :]
            self.ended = self.ended or not chunk
            self._feed(chunk)
        if self.ended:
            self.transport.close()

    def _feed(self, chunk: bytes) -> None:
        for event in self._parser.feed(chunk):
            self.on_event(event.event, json.loads(event.data), event.id)

    def on_event(self, name: str, data: dict[str, Any], id_: str) -> None:  # noqa: ARG002 - for subclasses
        """An event has come; `id_` is the stream's cursor there."""
        self.events.append((name, data))
        if name == "closing":
            self.closing = data
        if not self.ready.done():
            self.ready.set_result(None)


async def connect(
    port: int,
    peer: P,
    *,
    receive_buffer: int | None = None,
    segment: int | None = None,
    source: str | None = None,
    host: str = LOOPBACK,
) -> P:
    """Connect one peer. A small receive buffer (bytes) makes one that does not read noticed soon.

    So do small segments (bytes): with those of loopback, the server's kernel takes 2.6 MB for a connection.
    """
    sock = socket.socket()
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
    if segment is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
    sock.bind((source or (LOOPBACK if host.startswith("127.") else ""), 0))
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    await loop.create_connection(lambda: peer, sock=sock)
    return peer


async def connect_all(port: int, make: Callable[[int], P], count: int, at_once: int = AT_ONCE) -> list[P]:
    """Connect `count` peers, some at a time, and wait until each is ready."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> P:
        async with gate:
            peer = await connect(port, make(number))
            await asyncio.wait_for(asyncio.shield(peer.ready), 60)
            return peer

    return await all_at_once(map(one, range(count)))


async def freeze(port: int, peer: P) -> P:
    """Connect a peer that reads until it is ready, and then never again."""
    await connect(port, peer, receive_buffer=4_096)
    await asyncio.wait_for(asyncio.shield(peer.ready), 60)
    peer.transport.pause_reading()
    return peer


def drop(peers: Iterable[Peer]) -> None:
    """Cut them all."""
    for peer in peers:
        peer.transport.abort()
