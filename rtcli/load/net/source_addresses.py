"""Opens the sockets of connections, each with its source address and options.

One source address has about 28 000 ports towards one server. On loopback there are 2^24 addresses, so users
are spread over some; `IP_BIND_ADDRESS_NO_PORT` leaves the choice of the port to `connect`, which knows the
destination (without it, bind searches ports that are free towards everybody).
"""

from __future__ import annotations

import asyncio
import ipaddress
import resource
import socket
import struct
import sys
from itertools import count

USERS_PER_ADDRESS = 64  # also stays below the limits that servers put on one address
_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT of <linux/in.h>; the socket module has no name for it
_TCP_INFO = getattr(socket, "TCP_INFO", 11)
_TCP_INFO_SIZE = 136
_BYTES_RECEIVED = slice(128, 136)  # tcpi_bytes_received of <linux/tcp.h>, since 4.1
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


class SourceAddresses:
    """Opens sockets to one server. `worker` keeps the addresses of several workers apart."""

    def __init__(self, host: str, port: int, family: int, *, worker: int = 0, workers: int = 1) -> None:
        self.host = host
        self.port = port
        self._family = family
        self._numbers = count()
        self._worker = worker
        self._workers = workers
        address = ipaddress.ip_address(host)
        self._spreads = address.version == 4 and address.is_loopback and sys.platform == "linux"

    async def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Open a connection from the next source address. Raises OSError."""
        made = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            made.settimeout(0.0)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer is not None:  # before connecting: the window is agreed on then
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if self._spreads:
                made.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
                made.bind((self._next_address(), 0))
            await asyncio.get_running_loop().sock_connect(made, (self.host, self.port))
        except BaseException:
            made.close()
            raise
        return made

    def _next_address(self) -> str:
        group = next(self._numbers) // USERS_PER_ADDRESS * self._workers + self._worker
        return f"127.0.{1 + group // 250 % 250}.{1 + group % 250}"


def bytes_received(connection: socket.socket) -> int:
    """Bytes that the kernel has received on a connection; 0 when it does not say."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return 0
    return int.from_bytes(info[_BYTES_RECEIVED], sys.byteorder) if len(info) == _TCP_INFO_SIZE else 0


def raise_descriptor_limit() -> None:
    """Raise this process's soft limit of open files to its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def resolve(host: str, port: int) -> tuple[str, int]:
    """The address of a host and its address family. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    return str(address[0]), family


def reset_on_close(connection: socket.socket) -> None:
    """Make the next close send RST instead of FIN, and discard what is unsent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
