"""An HTTP server that takes publications, and answers as a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

Answer = int | None
"""The status to answer with; None: nothing, and the connection stays open; 0: it is closed."""


@contextlib.asynccontextmanager
async def publish_target(answer: Callable[[int], Answer]) -> AsyncIterator[str]:
    """Serve on a free port; yields the address. `answer` is asked with the number of the request, from 0."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                status = answer(seen)
                seen += 1
                if status == 0:
                    break
                if status is not None:
                    writer.write(f"HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
