"""How the main process and its workers talk: whole Python values over a pair of connected sockets.

Pickled: both ends are processes of this program, started by one another, and nobody else has the sockets.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from typing import Any

_LENGTH = 8
_LIMIT = 1 << 20


class ChannelClosedError(Exception):
    """The other process is gone."""


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Talk over a connected socket, which is then owned by the channel."""
        return cls(*await asyncio.open_connection(sock=end, limit=_LIMIT))

    def post(self, value: Any) -> None:  # noqa: ANN401 - anything that pickles
        """Send a value; does not wait until it is written."""
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def receive(self) -> Any:  # noqa: ANN401 - anything that pickles
        """The next value; raises ChannelClosedError."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - our own process
        except (asyncio.IncompleteReadError, OSError):
            raise ChannelClosedError from None

    async def drain(self) -> None:
        """Wait until everything is written."""
        try:
            await self._writer.drain()
        except OSError:
            raise ChannelClosedError from None

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
