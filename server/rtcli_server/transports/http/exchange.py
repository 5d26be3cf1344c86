"""One request and its response, as the ASGI application sees them (ASGI, HTTP protocol 2.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from rtcli_server.transports.http.flow import Flow
from rtcli_server.transports.http.head import Head
from rtcli_server.transports.http.response import (
    CONTINUE,
    LAST_CHUNK,
    Fields,
    Framing,
    ResponseHead,
    encode_head,
)

Message = Any  # a dict of ASGI; its shape depends on its type
Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

MAX_BODY_BYTES = 65_536  # of a body that wait for the application: then the rest waits at the client
_SERVER_ERROR: Final = (
    {"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]},
    {"type": "http.response.body"},
)

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What an exchange needs of its connection."""

    flow: Flow

    def default_fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields of every response."""
        ...

    def body_taken(self) -> None:
        """The application has taken the body that waited."""
        ...

    def started(self, exchange: Exchange, status: int) -> None:
        """The response begins."""
        ...

    def finished(self, exchange: Exchange) -> None:
        """The response is complete."""
        ...

    def failed(self, exchange: Exchange) -> None:
        """The application has ended without a complete response."""
        ...


class Exchange:
    """A request that is being answered. At the end it lets go of its connection: there is no cycle."""

    __slots__ = (
        "_arrived", "_body", "_body_complete", "_body_taken", "_connection", "_framing", "_left",
        "_waits_for_continue", "complete", "head", "keep_alive", "scope", "started",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: Head, scope: dict[str, Any]) -> None:
        self.head = head
        self.scope = scope
        self.keep_alive = head.keep_alive
        self.started = False  # the head of the response was written
        self.complete = False
        self._connection: Connection | None = connection  # None: it is gone, or nothing more is due
        self._body = bytearray()
        self._body_complete = not head.has_body
        self._body_taken = False  # its last part, too
        self._waits_for_continue = head.expects_continue and head.has_body
        self._arrived: asyncio.Event | None = None  # made when the application has to wait
        self._framing = Framing.NONE
        self._left = 0  # bytes of the response's body that are due

    # -- the request ---------------------------------------------------------------------------------------

    @property
    def takes_body(self) -> bool:
        """Whether the application has room for more of the body."""
        return len(self._body) < MAX_BODY_BYTES

    def feed(self, data: bytes, *, last: bool) -> None:
        """Give the application a part of the body."""
        if data:
            self._waits_for_continue = False
        if not self.complete:
            self._body += data
        self._body_complete = last
        self._wake()

    def disconnected(self) -> None:
        """Tell the application that the client is gone."""
        self._connection = None
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    async def receive(self) -> Message:
        """Give the next part of the body; after the last one, wait for the end."""
        connection = self._connection
        if self._waits_for_continue and not self.started and connection is not None:
            self._waits_for_continue = False
            connection.flow.write(CONTINUE)
        while True:
            if self._connection is None or self.complete:
                return {"type": "http.disconnect"}
            if self._body or (self._body_complete and not self._body_taken):
                return self._take_body(self._connection)
            if self._arrived is None:
                self._arrived = asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()

    def _take_body(self, connection: Connection) -> Message:
        body = bytes(self._body)
        self._body.clear()
        self._body_taken = self._body_complete
        if not self._body_complete:
            connection.body_taken()
        return {"type": "http.request", "body": body, "more_body": not self._body_taken}

    # -- the response --------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Write a part of the response, when the transport has room for it. Raises RuntimeError."""
        connection = self._connection
        if connection is not None and not self.complete:
            await connection.flow.drained()
            connection = self._connection
        if self.complete:
            raise RuntimeError(f"{message['type']} after the end of the response")
        if connection is None:
            return
        if not self.started:
            self._start(connection, message)
        else:
            self._go_on(connection, message)

    def _start(self, connection: Connection, message: Message) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError(f"{message['type']} before http.response.start")
        status: int = message["status"]
        fields: Fields = [*connection.default_fields(), *message.get("headers", ())]
        # A client that still waits to be asked for its body may send it or not: RFC 9110, section 10.1.1.
        keep_alive = self.keep_alive and not self._waits_for_continue
        head: ResponseHead = encode_head(
            status,
            fields,
            method=self.head.method,
            http_version=self.head.http_version,
            keep_alive=keep_alive,
        )
        self.started = True
        self.keep_alive = head.keep_alive
        self._framing, self._left = head.framing, head.length
        connection.started(self, status)
        connection.flow.write(head.data)

    def _go_on(self, connection: Connection, message: Message) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"{message['type']} after http.response.start")
        body: bytes = message.get("body", b"")
        is_last = not message.get("more_body", False)
        if self._framing is Framing.CHUNKED:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (LAST_CHUNK if is_last else b"")
        elif self._framing is Framing.LENGTH:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the body is not as long as its Content-Length")
        if body and self._framing is not Framing.NONE:
            connection.flow.write(body)
        if is_last:
            self._finish(connection)

    def _finish(self, connection: Connection) -> None:
        self.complete = True
        self._connection = None
        self._body.clear()
        self._wake()
        connection.finished(self)

    # -- the application -----------------------------------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Have the application answer. An exception is logged, and answered with 500 if that is possible."""
        try:
            await application(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - whatever it was, the client gets an answer
            _log.exception("Exception in ASGI application")
        except asyncio.CancelledError:
            self._fail()
            raise
        else:
            if self._connection is not None:
                _log.error("The ASGI application ended without a complete response")
        if self._connection is not None and not self.started:
            for message in _SERVER_ERROR:
                await self.send(message)
        self._fail()

    def _fail(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.failed(self)
