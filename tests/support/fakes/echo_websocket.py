"""A WebSocket server in a thread of its own that echoes, and does what some texts say.

`close CODE REASON` closes, `drop` breaks off, `ping` sends a ping, `fragments a b` comes in pieces, `quiet …`
is not answered; all else comes back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed


@dataclass
class EchoServer:
    """What came: the heads of all handshakes, and what each connection has received and was closed with."""

    port: int = 0
    greeting: str = ""  # what each connection gets first
    heads: list[Headers] = field(default_factory=list)
    received: list[list[str | bytes]] = field(default_factory=list)
    closed: list[tuple[int | None, str | None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.heads.append(connection.request.headers)
        received: list[str | bytes] = []
        self.received.append(received)
        try:
            if self.greeting:
                await connection.send(self.greeting)
            async for message in connection:
                received.append(message)
                await self._answer(connection, message)
        except ConnectionClosed:
            pass
        self.closed.append((connection.close_code, connection.close_reason))

    async def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        word, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
        if word == "close":
            code, _, reason = rest.partition(" ")
            await connection.close(int(code), reason)
        elif word == "drop":
            connection.transport.abort()
        elif word == "ping":
            await connection.ping(b"are you there")
        elif word == "fragments":
            await connection.send(iter(rest.split()))
        elif word != "quiet":
            await connection.send(message)


@contextmanager
def echo_websocket() -> Iterator[EchoServer]:
    """Run one on a free port."""
    echo = EchoServer()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def main() -> None:
        server: Server
        async with serve(
            echo.serve,
            "127.0.0.1",
            0,
            subprotocols=None,
            select_subprotocol=lambda _, offered: offered[-1] if offered else None,
            max_size=None,
            close_timeout=1,
        ) as server:
            echo.port = next(iter(server.sockets)).getsockname()[1]
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield echo
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
