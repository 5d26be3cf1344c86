"""One connection to any WebSocket server, as the frames that go both ways, in their order on the wire.

What comes is read only as fast as it is taken: a server that sends more fills its own buffers, not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from typing_extensions import override
from websockets import exceptions as wse
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES
from websockets.frames import Frame as WireFrame
from websockets.http11 import Request, Response
from websockets.protocol import Event

from rtcli.client.failures import ConnectionLostError, of_foreign_status
from rtcli.client.net.explanation import explanation
from rtcli.client.net.handshake import MAX_UNREAD_BYTES, GuardedConnection, open_socket
from rtcli.client.raw.ending import ABNORMAL, By, Ending
from rtcli.client.raw.frames import KINDS, Direction, Frame
from rtcli.errors import CliError

CLOSE_TIMEOUT_S = 1.0
_MAX_WAITING_FRAMES = 64
_MAX_WAITING_BYTES = 1_048_576


@dataclass(frozen=True)
class RawTarget:
    """Where to connect and how. `headers` replace what would be sent under their names."""

    url: str
    where: str  # host:port, for people
    ssl: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    subprotocols: tuple[str, ...] = ()
    use_proxy: bool = True
    connect_timeout_s: float = 10.0
    max_bytes: int = 16_777_216  # of a message


class GoneError(Exception):
    """The connection has ended; `RawSocket.ending` says how."""


class _Waiting:
    """The frames that nobody has taken yet. When they are many, `pause` is called, and `resume` later."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._pause, self._resume = pause, resume
        self._changed = asyncio.Event()
        self.paused = False
        self.ended = False

    def put(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._bytes += len(frame.payload)
        self._changed.set()
        if not self.paused and (len(self._frames) > _MAX_WAITING_FRAMES or self._bytes > _MAX_WAITING_BYTES):
            self.paused = True
            self._pause()

    def end(self) -> None:
        self.ended = True
        self._changed.set()

    async def get(self) -> Frame | None:
        while not self._frames:
            if self.ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame.payload)
        if self.paused and len(self._frames) <= _MAX_WAITING_FRAMES // 4:
            self.paused = False
            self._resume()
        return frame


class _Protocol(ClientProtocol):
    """Tells of each frame, before it is dealt with, and sends the user's header fields instead of its own."""

    on_frame: Callable[[Frame], None]
    replaced: frozenset[str]

    @override
    def connect(self) -> Request:
        request = super().connect()
        for name in self.replaced & {key.lower() for key in request.headers}:
            del request.headers[name]
        return request

    @override
    def recv_frame(self, frame: WireFrame) -> None:
        self.on_frame(Frame(Direction.IN, KINDS[frame.opcode], bytes(frame.data), frame.fin))
        super().recv_frame(frame)

    @override
    def send_frame(self, frame: WireFrame) -> None:
        super().send_frame(frame)
        self.on_frame(Frame(Direction.OUT, KINDS[frame.opcode], bytes(frame.data), frame.fin))


class _Connection(GuardedConnection):
    """A connection whose frames are taken from `waiting`; `recv` is not used."""

    def __init__(self, given: ClientProtocol, *, target: RawTarget, **options: Any) -> None:  # noqa: ANN401 - the library's own
        protocol = _Protocol(
            given.uri,
            subprotocols=given.available_subprotocols,
            max_size=target.max_bytes,
            logger=given.logger,
        )
        self.waiting = _Waiting(self._pause_reading, self._resume_reading)
        protocol.on_frame = self.waiting.put
        protocol.replaced = frozenset(name.lower() for name, _ in target.headers)
        super().__init__(protocol, **options)

    def _pause_reading(self) -> None:
        self.transport.pause_reading()

    def _resume_reading(self) -> None:
        self.transport.resume_reading()

    @override
    def process_event(self, event: Event) -> None:
        if not isinstance(event, WireFrame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.waiting.end()


class RawSocket:
    """An open connection. Make it with `connect`."""

    def __init__(self, connection: _Connection, max_bytes: int) -> None:
        self._connection = connection
        self._max_bytes = max_bytes
        self._problem = ""

    @property
    def request(self) -> Request | None:
        """The request of the handshake."""
        return self._connection.request

    @property
    def response(self) -> Response | None:
        """The server's answer to it."""
        return self._connection.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self._connection.subprotocol

    async def frame(self) -> Frame | None:
        """Wait for the next frame of either direction; None when the connection has ended."""
        return await self._connection.waiting.get()

    async def send(self, data: str | bytes) -> None:
        """Send a text or a binary message; wait while the server does not read.

        Raises GoneError when the connection has ended: then it may or may not have arrived.
        """
        payload = data.encode() if isinstance(data, str) else data
        self._connection.max_unread_bytes = MAX_UNREAD_BYTES + len(payload)
        try:
            await self._connection.send(payload, text=isinstance(data, str))
        except wse.ConnectionClosed as error:
            raise GoneError from error

    async def ping(self, data: bytes | None = None) -> float:
        """Send a ping, and return the seconds until its answer. Raises GoneError."""
        try:
            return await (await self._connection.ping(data))
        except (wse.ConnectionClosed, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            raise GoneError from error

    async def pong(self, data: bytes) -> None:
        """Send a pong that nobody has asked for. Raises GoneError."""
        try:
            await self._connection.pong(data)
        except wse.ConnectionClosed as error:
            raise GoneError from error

    async def keep_alive(self, interval_s: float) -> None:
        """Send pings, and break the connection off when one is not answered within `interval_s`.

        A server is not blamed while we read nothing, because our own reader is slow.
        """
        while True:
            await asyncio.sleep(interval_s)
            was_paused = self._connection.waiting.paused
            try:
                async with asyncio.timeout(interval_s):
                    await self.ping()
            except TimeoutError:
                if was_paused or self._connection.waiting.paused:
                    continue
                self._problem = f"did not answer a ping within {interval_s:g} s"
                self._connection.transport.abort()
                return

    async def close(self, code: int, reason: str = "", *, problem: str = "") -> None:
        """Close the connection, and wait a moment for the server to do so; `problem` is why it had to be."""
        self._problem = self._problem or problem
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._connection.close(code, reason)

    def abort(self) -> None:
        """End the connection without a word."""
        self._connection.transport.abort()

    @property
    def ending(self) -> Ending:
        """How it ended. Ask only when it has."""
        protocol = self._connection.protocol
        received, sent = protocol.close_rcvd, protocol.close_sent
        if sent is not None and not protocol.close_rcvd_then_sent:
            problem = self._problem or self._found_by_library()
            answered = None if received is None or problem else received
            if answered is not None and answered.code not in {sent.code, 1000, 1005}:
                return Ending(int(answered.code), answered.reason, By.SERVER)
            return Ending(int(sent.code), sent.reason, By.US, problem)
        if received is not None:
            return Ending(int(received.code), received.reason, By.SERVER)
        return Ending(ABNORMAL, "", By.NETWORK, self._problem)

    def _found_by_library(self) -> str:
        """What the library closed the connection for, in our words."""
        error = self._connection.protocol.parser_exc
        if isinstance(error, wse.PayloadTooBig):
            return f"sent a message of more than {self._max_bytes} bytes"
        if isinstance(error, wse.ProtocolError | UnicodeDecodeError):
            return f"broke the WebSocket protocol: {error}"
        return ""


async def connect(target: RawTarget) -> RawSocket:
    """Open a connection. Raises ConnectionLostError, in the words of a client of any server."""
    connection = None
    try:
        connection = await open_socket(
            target.url,
            where=target.where,
            tls=target.ssl,
            headers=list(target.headers),
            use_proxy=target.use_proxy,
            timeout_s=target.connect_timeout_s,
            ping_interval_s=None,
            close_timeout_s=CLOSE_TIMEOUT_S,
            subprotocols=target.subprotocols,
            max_bytes=target.max_bytes,
            connection=partial(_Connection, target=target),
        )
    except ConnectionLostError as lost:
        raise _in_other_words(lost, target.where) from lost.__cause__
    assert isinstance(connection, _Connection)  # noqa: S101 - made by the function above
    return RawSocket(connection, target.max_bytes)


def rejection(lost: ConnectionLostError) -> Response | None:
    """The HTTP answer of a server that refused the handshake, if there was one."""
    cause = lost.__cause__
    return cause.response if isinstance(cause, wse.InvalidStatus) else None


def _in_other_words(lost: ConnectionLostError, where: str) -> ConnectionLostError:
    """The failure without the hints that are for a server of rtcli."""
    failure = lost.failure
    cause = lost.__cause__
    if isinstance(cause, wse.InvalidStatus):
        retry_after = next(iter(cause.response.headers.get_all("Retry-After")), None)
        kind = next(iter(cause.response.headers.get_all("Content-Type")), "")
        return ConnectionLostError(
            of_foreign_status(
                cause.response.status_code,
                where,
                what="no WebSocket",
                said=explanation(kind, bytes(cause.response.body or b"")),
                retry_after=retry_after,
            )
        )
    hint = failure.error.hint
    if "rtcli" in hint:
        hint = "is the address right? -v says more" if failure.retry else "is it the right port and path?"
    message = failure.error.message
    if isinstance(cause, wse.NegotiationError):
        message = f"{where} chose what was not offered: {cause}"
    error = CliError(message, hint=hint, exit_code=failure.error.exit_code)
    return ConnectionLostError(replace(failure, error=error))
