"""The sockets of the load client: raw asyncio protocols that count, publish, or time deliveries.

A `Member` does its handshake, joins and then only counts the mark in what it receives. All members share one
receive buffer: nothing is allocated per read, and a connection costs the client about 2 KB.
"""

import asyncio
import secrets
import socket
import struct
import time
from array import array
from base64 import b64encode
from collections import deque
from typing import cast

from benchmarks.client.dialects import Dialect
from benchmarks.client.frames import MARK, STAMP, content, split_mark

BUFFER = bytearray(256 * 1024)
NUMBER, INTENDED_US = 12_345_678, 9_876_543_210_987_654
LINGER_NONE = struct.pack("ii", 1, 0)


class Connection(asyncio.BufferedProtocol):
    """One connection: sends its request, then every reply waited for in turn, then it is live.

    `steps` are pairs (bytes to send, bytes to wait for); a step without bytes to wait for is done once sent.
    `ready` is resolved when all are done, and fails when the server closes first.
    """

    transport: asyncio.Transport

    def __init__(self, steps: list[tuple[bytes, bytes]]) -> None:
        self.steps = deque(steps)
        self.waiting_for = b""
        self.seen = bytearray()
        self.live = False
        self.received = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with the first step."""
        self.transport = cast("asyncio.Transport", transport)
        self.advance()

    def advance(self) -> bool:
        """Send what is due, up to the next reply that must be waited for; whether there is one."""
        while self.steps:
            outgoing, self.waiting_for = self.steps.popleft()
            if outgoing:
                self.transport.write(outgoing)
            if self.waiting_for:
                return True
        self.live = True
        self.seen.clear()
        self.ready.set_result(None)
        return False

    def get_buffer(self, sizehint: int) -> bytearray:
        """The one buffer that all connections share."""
        del sizehint
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Count deliveries once live; look for the awaited reply before that."""
        if self.live:
            self.received += BUFFER.count(MARK, 0, nbytes)
            return
        self.seen += memoryview(BUFFER)[:nbytes]
        waiting = True
        while waiting and self.waiting_for in self.seen:
            del self.seen[: self.seen.index(self.waiting_for) + len(self.waiting_for)]
            waiting = self.advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever still waits for this connection."""
        if not self.ready.done():
            said = bytes(self.seen[:300])
            self.ready.set_exception(ConnectionError(f"closed before it was ready ({exc}): {said!r}"))

    def abort(self) -> None:
        """Close with a reset, so that no port stays in TIME_WAIT."""
        if not self.transport.is_closing():
            raw: socket.socket = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        self.transport.abort()


class Publisher(Connection):
    """Keeps `window` messages in flight: each own message or acknowledgement that comes back lets one go.

    `answer` is what counts as an answer to an own message. Round trips are kept, in seconds.
    Once `stopped`, nothing more is sent.
    """

    def __init__(self, steps: list[tuple[bytes, bytes]], frame: bytes, answer: bytes) -> None:
        super().__init__(steps)
        self.pieces = frame.split(b"%d" % NUMBER)
        self.answer = answer
        self.tail = b""
        self.number = 0
        self.answered = 0
        self.stopped = False
        self.sent_at: deque[float] = deque()
        self.round_trips = array("d")

    def send(self, count: int) -> None:
        """Publish the next `count` messages in one write."""
        self.sent_at.extend([time.perf_counter()] * count)
        first, self.number = self.number, self.number + count
        self.transport.write(b"".join([(b"%08d" % n).join(self.pieces) for n in range(first, self.number)]))

    def buffer_updated(self, nbytes: int) -> None:
        """Count deliveries, and publish as many as have been answered."""
        if not self.live:
            super().buffer_updated(nbytes)
            return
        self.received += BUFFER.count(MARK, 0, nbytes)
        done, self.tail = split_mark(self.tail, bytes(memoryview(BUFFER)[:nbytes]), self.answer)
        if done:
            now = time.perf_counter()
            self.round_trips.extend(
                [now - self.sent_at.popleft() for _ in range(min(done, len(self.sent_at)))]
            )
            self.answered += done
            if not self.stopped:
                self.send(done)


class PacedPublisher(Connection):
    """Publishes when told to, each message carrying the time at which it was due."""

    def __init__(self, steps: list[tuple[bytes, bytes]], frame: bytes) -> None:
        super().__init__(steps)
        self.before, rest = frame.split(b"%d" % NUMBER, 1)
        self.middle, self.after = rest.split(b"%d" % INTENDED_US)
        self.number = 0

    def send(self, intended_us: int) -> None:
        """Publish one message that was due at `intended_us` (unix)."""
        number = b"%08d" % self.number
        stamp = self.middle + b"%016d" % intended_us
        self.transport.write(self.before + number + stamp + self.after.replace(b"%d" % NUMBER, number))
        self.number += 1


class Sampler(Connection):
    """A member that reads the intended time out of every message and keeps the latencies, in seconds."""

    def __init__(self, steps: list[tuple[bytes, bytes]]) -> None:
        super().__init__(steps)
        self.tail = b""
        self.latencies = array("d")

    def buffer_updated(self, nbytes: int) -> None:
        """Count and time what came."""
        if not self.live:
            super().buffer_updated(nbytes)
            return
        self.received += BUFFER.count(MARK, 0, nbytes)
        now_us = time.time_ns() // 1000
        chunk = self.tail + memoryview(BUFFER)[:nbytes]
        stamps = STAMP.findall(chunk)
        self.latencies.extend([(now_us - int(stamp)) / 1e6 for stamp in stamps])
        start = chunk.rfind(MARK)
        self.tail = bytes(chunk[start:]) if start >= 0 and not STAMP.match(chunk, start) else b""


class Frozen(Connection):
    """Joins, then never reads again."""

    def buffer_updated(self, nbytes: int) -> None:
        """Stop reading as soon as the join is done."""
        super().buffer_updated(nbytes)
        if self.live:
            self.transport.pause_reading()


def upgrade_request(path: str) -> bytes:
    """A WebSocket handshake (RFC 6455 section 4.1)."""
    key = b64encode(secrets.token_bytes(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def join_steps(dialect: Dialect, room: str) -> list[tuple[bytes, bytes]]:
    """What a connected client sends and awaits until it is a member of `room`."""
    return [dialect.greeting(), (dialect.join(room), dialect.joined)]


def member_steps(dialect: Dialect, room: str, token: str) -> list[tuple[bytes, bytes]]:
    """The same from the handshake on."""
    handshake = [(upgrade_request(dialect.ws_path(room, token)), b" 101 "), (b"", b"\r\n\r\n")]
    return [*handshake, *join_steps(dialect, room)]


def stream_steps(dialect: Dialect, room: str, token: str) -> list[tuple[bytes, bytes]]:
    """What a client sends and awaits until its event stream runs."""
    path = dialect.sse_path(room, token)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    return [(request.encode(), b" 200 "), (b"", b"\r\n\r\n")]


def message_frame(dialect: Dialect, room: str, publisher: int, run: str, length: int = 100) -> bytes:
    """The frame of `publisher`'s messages with placeholders where number and intended time go."""
    text = content(publisher, NUMBER, INTENDED_US, length)
    return dialect.publish(room, text, f"{run}{publisher}-{NUMBER}")
