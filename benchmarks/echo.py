"""The server as it is, but for what it does with messages: they come back. For conformance suites.

``python -m benchmarks.echo TRANSPORT``, which is ``picows`` or ``portable``: prints the WebSocket URL, token
included, and serves until SIGTERM. Handshake, frames, fragments, UTF-8, closing and limits are the server's
own, the limits only larger. The server closes on binary messages and throws their bytes away: for the time of
the run the places that do are told to keep them.
"""

import asyncio
import secrets
import sys
import time
from unittest.mock import patch

from typing_extensions import override

from benchmarks.client.dialects import token_for
from rtcli_server.connections.websocket import Connection
from rtcli_server.delivery.resumption import Opening
from rtcli_server.delivery.wire import frame
from rtcli_server.process.runner import ServerHandle, serve_forever
from rtcli_server.realtime import clients
from rtcli_server.settings import Settings
from rtcli_server.transports.websocket import asgi_endpoint, picows_transport
from rtcli_server.transports.websocket.frames import FragmentedMessage

BINARY = 0x2
LARGEST = 32 * 1024 * 1024
PATIENCE_S = 120.0


class EchoConnection(Connection):
    """A connection that sends back what it gets."""

    __slots__ = ()

    def open(self, opening: Opening) -> None:
        """Say nothing: a suite expects its own messages alone."""
        del opening

    def text(self, text: str | bytes) -> None:
        """Send it back."""
        self.writer.send(text.encode() if isinstance(text, str) else text)

    def binary(self) -> None:
        """Send back the message that was just completed."""
        self.writer.flush()
        self.writer.write(frame(KeepingMessage.completed, BINARY))


class KeepingMessage(FragmentedMessage):
    """A message whose fragments are kept; `completed` is the last complete message."""

    __slots__ = ("_payloads",)

    completed = b""

    def add(self, payload: bytes, *, final: bool, max_bytes: int, max_count: int) -> None:
        """Add the next fragment, and keep it."""
        super().add(payload, final=final, max_bytes=max_bytes, max_count=max_count)
        if self._count == 1:
            self._payloads: list[bytes] = []
        self._payloads.append(payload)
        if final:
            KeepingMessage.completed = b"".join(self._payloads)


class Binary(str):
    """A binary message in the queue of texts, a character for each byte."""

    __slots__ = ()


class EchoAsgiTransport(asgi_endpoint.AsgiTransport):
    """The portable transport: a binary message is sent back as one."""

    async def _read(self) -> None:
        while True:
            await self._readable.wait()
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                self.connection.text(message["text"])
            else:
                self._queue.put(Binary(message["bytes"], "latin-1"))

    @override
    async def _send_item(self, item: str | asgi_endpoint.Close) -> None:
        if isinstance(item, Binary):
            await self._websocket.send({"type": "websocket.send", "bytes": item.encode("latin-1")})
        else:
            await super()._send_item(item)


def settings_for(transport: str, secret: str) -> Settings:
    """A server without the limits that a conformance suite means to break."""
    return Settings(
        port=0,
        secrets=(secret,),
        fast_websockets=transport == "picows",
        user_connections=None,
        address_connections=None,
        max_message_bytes=LARGEST,
        max_fragments=1_000_000,
        message_deadline_s=PATIENCE_S,
        send_budget_bytes=3 * LARGEST,
    )


def announce(handle: ServerHandle, secret: str) -> None:
    """Print the URL for the suite."""
    token = token_for(secret, 1, time.time())
    print(f"ws://127.0.0.1:{handle.port}/api/v1/ws?events=0&token={token}", flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    secret = secrets.token_hex(32)
    with (
        patch.object(clients, "Connection", EchoConnection),
        patch.object(picows_transport, "FragmentedMessage", KeepingMessage),
        patch.object(asgi_endpoint, "AsgiTransport", EchoAsgiTransport),
    ):
        asyncio.run(serve_forever(settings_for(sys.argv[1], secret), lambda handle: announce(handle, secret)))


if __name__ == "__main__":
    main()
