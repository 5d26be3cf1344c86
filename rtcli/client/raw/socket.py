"""One connection to any WebSocket server, as the frames that go both ways, in their order on the wire.

What comes is read only as fast as it is taken: a server that sends more fills its own buffers, not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from websockets import exceptions as wse
from websockets.http11 import Request, Response

from rtcli.client.failures import ConnectionLostError, of_foreign_status
from rtcli.client.net.explanation import explanation
from rtcli.client.net.handshake import MAX_UNREAD_BYTES, open_socket
from rtcli.client.raw.connection import FrameConnection, RawTarget
from rtcli.client.raw.ending import ABNORMAL, By, Ending
from rtcli.client.raw.frames import Frame
from rtcli.errors import CliError

CLOSE_TIMEOUT_S = 1.0


class GoneError(Exception):
    """The connection has ended; `RawSocket.ending` says how."""


class RawSocket:
    """An open connection. Make it with `connect`."""

    def __init__(self, connection: FrameConnection, max_bytes: int) -> None:
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
            except GoneError:
                return
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


async def connect(
    target: RawTarget, *, on_request: Callable[[Request], None] = lambda _request: None
) -> RawSocket:
    """Open a connection. Raises ConnectionLostError, in the words of a client of any server.

    `on_request` is called with each request that is made: one more after a redirect.
    """
    connection = None
    try:
        connection = await open_socket(
            target.url,
            where=target.where,
            tls=target.ssl,
            headers=list(target.headers),
            proxy=target.proxy,
            timeout_s=target.connect_timeout_s,
            ping_interval_s=None,
            close_timeout_s=CLOSE_TIMEOUT_S,
            subprotocols=target.subprotocols,
            max_bytes=target.max_bytes,
            connection=partial(FrameConnection, target=target, on_request=on_request),
        )
    except ConnectionLostError as lost:
        raise _in_other_words(lost, target.where) from lost.__cause__
    assert isinstance(connection, FrameConnection)  # noqa: S101 - made by the function above
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
