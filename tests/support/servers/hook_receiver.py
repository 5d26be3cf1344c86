"""An application's server for webhooks: it verifies what it gets, and answers as a test says, or not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

KEY = b"the key of the receiver, 32 byte"
WEBHOOK_SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
TOLERANCE_S = 300


@dataclass(frozen=True)
class Asked:
    """One request whose signature was right."""

    id: str
    body: dict[str, Any]


Answer: TypeAlias = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"", *fields: str) -> Answer:
    """Answer with this, and keep the connection."""
    head = f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n" + "".join(f"{one}\r\n" for one in fields)

    async def write(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()

    return write


def answer_json(**words: object) -> Answer:
    """Answer with 200 and this object."""
    return answer(200, json.dumps(words).encode())


@dataclass
class Receiver:
    """What it got, and what it answers: `answer` may be replaced at any time."""

    port: int = 0
    answer: Answer = field(default_factory=lambda: answer(204))
    asked: list[Asked] = field(default_factory=list)
    forged: int = 0  # requests whose signature was wrong
    connections: int = 0

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}/hooks?of=rtcli"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = (line.partition(": ") for line in head.split("\r\n")[1:] if line)
                fields = {name.lower(): value for name, _, value in lines}
                body = await reader.readexactly(int(fields["content-length"]))
                if _is_genuine(fields, body):
                    self.asked.append(Asked(fields["webhook-id"], json.loads(body)))
                    await self.answer(self.asked[-1], writer)
                else:
                    self.forged += 1
                    break
        writer.close()


def _is_genuine(fields: dict[str, str], body: bytes) -> bool:
    """Verify a signature as standardwebhooks.com says."""
    if abs(time.time() - int(fields["webhook-timestamp"])) > TOLERANCE_S:
        return False
    signed = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(f"v1,{wanted}", one) for one in fields["webhook-signature"].split())


@asynccontextmanager
async def hook_receiver() -> AsyncIterator[Receiver]:
    """Listen on a port of loopback until the block ends."""
    receiver = Receiver()
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            await receiver.serve(reader, writer)
        finally:
            connections.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
        await server.wait_closed()
