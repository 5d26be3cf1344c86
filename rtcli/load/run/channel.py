"""A channel between the coordinator and a worker: messages over a pair of connected sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Generic, TypeVar

import msgspec

from rtcli.load.run.messages import FromWorker, ToWorker

Sent = TypeVar("Sent")
Received = TypeVar("Received")

_LENGTH = 8
_LIMIT = 1 << 20
_encode = msgspec.msgpack.Encoder().encode


class ChannelClosedError(Exception):
    """The process at the other end has closed the channel, or has ended."""


class WorkerChannel(Generic[Sent, Received]):
    """One end of a channel. Each message is preceded by its length, 8 bytes big-endian."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        decoder: msgspec.msgpack.Decoder[Received],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decode = decoder.decode

    def send(self, message: Sent) -> None:
        """Send a message, without waiting until it is written."""
        data = _encode(message)
        self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def receive(self) -> Received:
        """Wait for the next message. Raises ChannelClosedError."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
            data = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            raise ChannelClosedError from None
        return self._decode(data)

    async def finish(self) -> None:
        """Close this end, and wait until all that was sent is written."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


async def coordinator_channel(end: socket.socket) -> WorkerChannel[ToWorker, FromWorker]:
    """The coordinator's end, over a connected socket that the channel owns from now on."""
    decoder: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
    return WorkerChannel(*await asyncio.open_connection(sock=end, limit=_LIMIT), decoder)


async def worker_channel(end: socket.socket) -> WorkerChannel[FromWorker, ToWorker]:
    """The worker's end, over a connected socket that the channel owns from now on."""
    decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
    return WorkerChannel(*await asyncio.open_connection(sock=end, limit=_LIMIT), decoder)
