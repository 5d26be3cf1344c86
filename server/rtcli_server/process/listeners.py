"""The sockets that a server listens on, and the URL that it is reached by."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from rtcli_server.settings import Settings

BACKLOG = 4_096  # connections that wait to be accepted


class ListenError(Exception):
    """The address cannot be listened on. `in_use`: another process listens there."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {error.strerror or error}")
        self.in_use = error.errno == errno.EADDRINUSE


def open_listeners(settings: Settings, worker: int | None) -> Iterator[socket.socket]:
    """Open the shared port, then the worker's own, where its metrics can be read. Raises ListenError.

    `worker` is the number of a worker (from 1), or None for a server that is the only one on its port.
    """
    yield _listen(settings, shares_port=worker is not None)
    if worker is not None and settings.worker_port is not None:
        yield _listen(settings.model_copy(update={"port": settings.worker_port + worker - 1}))


def _listen(settings: Settings, *, shares_port: bool = False) -> socket.socket:
    return _bind(settings, shares_port=shares_port, listens=True)


def _bind(settings: Settings, *, shares_port: bool, listens: bool) -> socket.socket:
    """Bind a socket; accepted sockets inherit its options. Raises ListenError.

    With `shares_port`, other processes of this user may listen there too: the kernel spreads connections.
    TCP_USER_TIMEOUT also ends connections whose peer keeps its window shut: nothing else does that.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(settings.tcp_user_timeout_s * 1000)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.bind((settings.host, settings.port))
        if listens:
            listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ListenError(settings.host, settings.port, _os_error(error)) from None
    return listener


def _os_error(error: OSError | OverflowError) -> OSError:
    return error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))


@contextlib.contextmanager
def reserved_port(settings: Settings) -> Iterator[int]:
    """Reserve the address for workers that will share it, and give the port. Raises ListenError.

    SO_REUSEPORT would let a second deployment of the same user listen there too, without an error. So the
    port is bound here without that option, which fails when another process listens. The name of a Unix
    socket keeps out a deployment that starts at the same moment (Linux: like ports, such names are one set
    per network namespace, and end with the process).
    """
    with _bind(settings, shares_port=False, listens=False) as held, socket.socket(socket.AF_UNIX) as name:
        address, port = held.getsockname()[:2]
        try:
            name.bind(f"\0rtcli serve {address} {port}")
        except OSError as error:
            raise ListenError(settings.host, port, error) from None
        yield port


def base_url(settings: Settings, port: int) -> str:
    """The URL by which this machine reaches a server on `port`."""
    scheme = "https" if settings.tls_cert is not None else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - read, not bound
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
