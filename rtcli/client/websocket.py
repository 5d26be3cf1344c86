"""The WebSocket client: one conversation over any number of connections.

`conversation` decides what is sent. This module moves bytes, waits, and turns errors into Failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import NoReturn

from websockets import exceptions as wse
from websockets.asyncio.client import ClientConnection

from rtcli.client import failures
from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.conversation.state import ClientState
from rtcli.client.credentials import current_token
from rtcli.client.events import ClientEvent, ConnectionWarning, Lost
from rtcli.client.failures import ConnectionLostError, Failure
from rtcli.client.net.handshake import open_socket
from rtcli.errors import CliError, Exit
from rtcli.protocol.codes import CloseCode
from rtcli.protocol.messages import MessageError, decode_server, encode
from rtcli.protocol.messages.server import Closing, Connected, Error, ServerMessage
from rtcli.protocol.paths import websocket_address
from rtcli.protocol.position import Position

_CLOSE_TIMEOUT_S = 1.0
_STRANGER = "it does not greet as a server of rtcli does"


class RealtimeClient:
    """A client of one server that keeps its rooms and its unacknowledged texts across reconnections.

    With `events` it also gets the personal events of its user and broadcast events. `cursor` says where they
    and the rooms go on: that of another client (`state.cursor`), or the last id of an event stream.
    `on_event` is called with each event, in order. `run()` returns after `close()`, and raises CliError when
    the connection is lost for good; `state.unacknowledged()` then has the texts that were not confirmed.
    """

    def __init__(
        self,
        target: WebSocketTarget,
        *,
        reconnect: Reconnect,
        id_prefix: str,
        on_event: Callable[[ClientEvent], None],
        events: bool = False,
        cursor: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = ClientState(id_prefix=id_prefix, cursor=cursor)
        self._with_events = events
        self._target = target
        self._reconnect = reconnect
        self._on_event = on_event
        self._clock = clock
        self._wake = asyncio.Event()  # there may be something to send
        self._retry_now = asyncio.Event()  # try again at once
        self._closing = False
        self._may_reread_token = False  # a token that is refused after a good connection is read once more
        self._last_token: str | None = None
        self._socket: ClientConnection | None = None

    # -- what the user does --------------------------------------------------------------------------------

    def join(self, room: str, *, history: int = 0, since: Position | None = None) -> None:
        """Join `room` now and after reconnections.

        The first time with what followed on `since`, or else with its last `history` publications.
        """
        self.state.join(room, history=history, since=since)
        self._wake.set()

    def leave(self, room: str) -> None:
        """Leave `room`. Its unacknowledged texts are dropped."""
        self.state.leave(room)
        self._wake.set()

    def send(self, room: str, content: str, identifier: str | None = None) -> str:
        """Publish a text now or after the next reconnection; returns its id. Raises KeyError: not joined."""
        identifier = self.state.send(room, content, identifier)
        self._wake.set()
        return identifier

    def withdraw(self, identifier: str) -> None:
        """Do not send this text (again), and wait for no acknowledgement of it."""
        self.state.withdraw(identifier)
        self._wake.set()

    def resume(self, room: str) -> None:
        """Go on with a room that was held (`state.hold`)."""
        self.state.resume(room)
        self._wake.set()

    def renew(self) -> None:
        """Break the connection off and open a new one at once, which goes on with events that were held."""
        self._retry_now.set()
        self.cut()

    def typing(self, room: str, *, is_typing: bool) -> None:
        """Announce that we type or stopped."""
        self.state.typing(room, is_typing=is_typing)
        self._wake.set()

    def ping(self) -> None:
        """Measure the round trip once."""
        self.state.ping(self._clock())
        self._wake.set()

    async def reconnect(self) -> None:
        """Close the connection and open a new one at once. While waiting for the next attempt, try now."""
        self._retry_now.set()
        if self._socket is not None:
            await self._socket.close(CloseCode.NORMAL)

    def cut(self) -> None:
        """Abort the connection as a failing network does; the client reconnects as always."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """Close the connection; `run()` returns."""
        self._closing = True
        self._retry_now.set()
        if self._socket is not None:
            await self._socket.close(CloseCode.NORMAL)

    # -- the conversation ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, exchange messages, and reconnect after each loss."""
        while True:
            failure = await self._attempt()
            if failure is None or self._closing:
                return
            await self._pause(failure)

    async def _attempt(self) -> Failure | None:
        if self._closing:
            return None
        try:
            await self._converse()
        except ConnectionLostError as lost:
            return lost.failure
        finally:
            self.state.lost(self._clock())

    async def _pause(self, failure: Failure) -> None:
        is_wanted = self._retry_now.is_set() and self._reconnect.ever_connected
        if is_wanted:
            failure = Failure(failure.reason, failure.error, retry=True)
        delay = self._reconnect.delay(failure, now=self._clock())
        if is_wanted:
            delay = 0.0
        self._retry_now.clear()
        self._on_event(Lost(failure.reason, delay, self._reconnect.attempt))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._retry_now.wait()

    async def _converse(self) -> NoReturn:
        """Run one connection from its handshake to its end. Always raises ConnectionLostError."""
        socket = await self._open()
        self._socket = socket
        writer = asyncio.ensure_future(self._write(socket))
        # Without a writer nothing is sent any more: get a new connection.
        writer.add_done_callback(lambda task: None if task.cancelled() else socket.transport.abort())
        try:
            await self._greet(socket)
            while True:
                self._receive(await socket.recv())
        except wse.ConnectionClosed as closed:
            raise ConnectionLostError(self._of_close(closed)) from closed
        finally:
            self._socket = None
            writer.cancel()
            try:
                await asyncio.wait([writer])
            finally:
                await self._end(socket)
            if not writer.cancelled() and not isinstance(writer.exception(), wse.ConnectionClosed):
                writer.result()

    async def _end(self, socket: ClientConnection) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await socket.close(CloseCode.NORMAL)
        finally:
            socket.transport.abort()  # if it is still open: also when we are cancelled

    async def _open(self) -> ClientConnection:
        target = self._target
        self._last_token = await current_token(target.token)
        headers = [*target.headers]
        if self._last_token is not None:
            headers.append(("Authorization", f"Bearer {self._last_token}"))
        cursor = self.state.events_cursor if self._with_events else ""
        return await open_socket(
            websocket_address(target.url, events=self._with_events, cursor=cursor),
            where=target.where,
            tls=target.ssl,
            headers=headers,
            proxy=target.proxy,
            timeout_s=target.connect_timeout_s,
            ping_interval_s=target.ping_interval_s,
            close_timeout_s=_CLOSE_TIMEOUT_S,
        )

    async def _greet(self, socket: ClientConnection) -> None:
        """Wait for the server's `connected`: only it shows that this is an rtcli server that accepts us."""
        message: ServerMessage | None = None
        with contextlib.suppress(TimeoutError, MessageError):
            async with asyncio.timeout(self._target.connect_timeout_s):
                message = decode_server(await socket.recv())
                while isinstance(message, Closing | Error):  # it is full, or shutting down
                    self._emit(self.state.receive(message, self._clock()))
                    message = decode_server(await socket.recv())
        if not isinstance(message, Connected):
            stranger = CliError(
                f"{self._target.where} speaks WebSocket, but {_STRANGER}",
                hint="is that rtcli's port? give the full path with --url ws://host:port/path",
                exit_code=Exit.SERVER,
            )
            raise ConnectionLostError(Failure("stranger", stranger, retry=False))
        self._reconnect.opened(self._clock())
        self._may_reread_token = True
        self._emit(self.state.receive(message, self._clock()))
        self.state.ping(self._clock())
        self._wake.set()

    def _receive(self, data: str | bytes) -> None:
        try:
            if isinstance(data, bytes):
                self._on_event(
                    ConnectionWarning("binary", "the server sent a binary message, which was ignored")
                )
                return
            message = decode_server(data)
        except MessageError as error:
            self._on_event(ConnectionWarning(error.code, "the server sent a message that cannot be read"))
            return
        self._emit(self.state.receive(message, self._clock()))
        self._wake.set()

    def _emit(self, events: list[ClientEvent]) -> None:
        for event in events:
            self._on_event(event)

    async def _write(self, socket: ClientConnection) -> None:
        """Send messages as soon as there are some; ends with the connection."""
        while True:
            self.state.tick(self._clock())
            await self._refresh()
            for message in self.state.take_outgoing():
                await socket.send(encode(message), text=True)
            due = self.state.due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                    await self._wake.wait()
            self._wake.clear()

    async def _refresh(self) -> None:
        if not self.state.token_expiring:
            return
        self.state.token_expiring = False
        token = await current_token(self._target.token)
        if token is not None and token != self._last_token:
            self._last_token = token
            self.state.refresh(token)

    def _of_close(self, closed: wse.ConnectionClosed) -> Failure:
        where = self._target.where
        if closed.sent is not None and (closed.rcvd is None or not closed.rcvd_then_sent):
            # We closed it: pings were not answered, or bytes were no messages. A new connection may work.
            reason = f"{closed.sent.code} {closed.sent.reason}".strip()
            error = CliError(f"the connection to {where} had to be closed: {reason}", exit_code=Exit.SERVER)
            return Failure(reason, error, retry=True)
        code = CloseCode.ABNORMAL if closed.rcvd is None else closed.rcvd.code
        reason = "" if closed.rcvd is None else closed.rcvd.reason
        failure = failures.of_close(code, reason, where, retry_after_s=self.state.retry_after_s)
        if code == CloseCode.REFUSED and self._may_reread_token and reason.startswith("invalid_token"):
            self._may_reread_token = False
            return Failure(failure.reason, failure.error, retry=True, retry_after_s=0.0)
        return failure
