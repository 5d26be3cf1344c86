"""Connections that send bytes in two parts, and what is answered."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import socket
from collections.abc import Iterable, Iterator
from typing import cast

from typing_extensions import override

from tests.support.servers.server_process import LOOPBACK

BETWEEN_S = 0.003  # after the first part: then it is most likely read alone
PATIENCE_S = 20.0


async def exchange(port: int, first: bytes, second: bytes) -> bytes:
    """Send both, and read to the end of the connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    reading = asyncio.ensure_future(_read(reader))
    writer.write(first)
    await asyncio.sleep(BETWEEN_S)
    writer.write(second)
    try:
        return await asyncio.wait_for(reading, PATIENCE_S)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Read until the peer closes; that it refuses what was sent after its answer is no error."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            received += data
    return bytes(received)


class _Received(io.BytesIO):
    """Looks like a socket to `http.client`; one response after the other is read from it."""

    def makefile(self, *_arguments: object) -> io.BytesIO:
        """All that was received."""
        return self

    @override
    def close(self) -> None:
        """Stay open: the next response follows."""


def statuses(answer: bytes, methods: Iterable[str]) -> Iterator[int]:
    """The status of each response. `methods` are those of the requests: answers to HEAD have no body."""
    received = _Received(answer)
    expected = iter(methods)
    while received.tell() < len(answer):
        if answer.startswith(b"{", received.tell()):  # to HTTP/0.9: a body alone
            yield 200
            return
        response = http.client.HTTPResponse(cast("socket.socket", received), method=next(expected, "GET"))
        response.begin()
        response.read()
        yield response.status
