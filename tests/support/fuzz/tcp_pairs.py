"""Pairs of connected TCP sockets, by the thousand: picows reads no other transport."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket

from tests.support.servers.server_process import LOOPBACK

PATIENCE_S = 10.0  # of a client with a server that is to answer at once


class Pairs:
    """Makes them."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._numbers = itertools.count()

    def close(self) -> None:
        """Make no more of them."""
        self._listener.close()

    def new(self) -> tuple[socket.socket, socket.socket]:
        """A pair; each comes from another address, so that ports do not run out."""
        number = next(self._numbers) % 60_000
        ours = socket.socket()
        ours.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        ours.bind((f"127.1.{number // 250}.{number % 250 + 1}", 0))
        ours.connect(self._listener.getsockname())
        theirs, _address = self._listener.accept()
        return ours, theirs


class Client:
    """Our end of a connection. That the server has closed it is no error: it may at any time."""

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._loop = loop

    async def send(self, data: bytes) -> None:
        """Send everything."""
        with contextlib.suppress(OSError):
            await self._loop.sock_sendall(self._sock, data)

    async def read(self, until: bytes | None = None) -> bytes:
        """Read until these bytes have come, or to the end."""
        data = bytearray()
        with contextlib.suppress(OSError):
            while until is None or until not in data:
                more = await asyncio.wait_for(self._loop.sock_recv(self._sock, 65_536), PATIENCE_S)
                if not more:
                    break
                data += more
        return bytes(data)

    async def end(self) -> bytes:
        """Say that nothing more comes, and read to the end."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        rest = await self.read()
        self._sock.close()
        return rest
