"""Runs the server in this process: under tests and load tests, and for `rtcli serve`.

    async with running_server(Settings(port=0, secrets=(SECRET,))) as server:
        print(server.url)      # http://127.0.0.1:49152

uvicorn keeps its hands off signals here: the end of a server is its drain, then uvicorn's own shutdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import uvicorn

from rtcli_server.app import create_app
from rtcli_server.connections.drain import drain
from rtcli_server.realtime import Realtime
from rtcli_server.settings import Settings
from rtcli_server.transports.http.protocol import HttpOptions, HttpProtocol
from rtcli_server.transports.http.trusted_proxies import TrustedProxies
from rtcli_server.transports.websocket import picows_upgrade, uvicorn_protocol

BACKLOG = 4_096


class ListenError(Exception):
    """The address cannot be listened on. `in_use`: somebody else does."""

    def __init__(self, host: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {error.strerror or error}")
        self.in_use = error.errno == errno.EADDRINUSE


class CertificateError(Exception):
    """The certificate or its key cannot be used."""


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without its signal handlers, which would end the process by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs this."""
        yield


def listen(settings: Settings, *, shares_port: bool = False) -> socket.socket:
    """Bind the listening socket; accepted sockets inherit its options. Raises ListenError.

    With `shares_port`, other processes of this user may listen there too: the kernel spreads connections.
    TCP_USER_TIMEOUT also ends connections whose peer's window stays shut: nothing else does that.
    """
    return _bind(settings, shares_port=shares_port, listens=True)


def _bind(settings: Settings, *, shares_port: bool, listens: bool) -> socket.socket:
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
    """Keep the address for workers that will share it; gives the port. Raises ListenError.

    SO_REUSEPORT would let a second deployment of the same user listen there too, in silence. Bound without
    it, this is refused when somebody listens; the name keeps away who starts at the same moment (Linux; names
    of this kind are, as ports are, one set per network namespace, and go with the process).
    """
    with _bind(settings, shares_port=False, listens=False) as held, socket.socket(socket.AF_UNIX) as name:
        address, port = held.getsockname()[:2]
        try:
            name.bind(f"\0rtcli serve {address} {port}")
        except OSError as error:
            raise ListenError(settings.host, port, error) from None
        yield port


def base_url(settings: Settings, port: int) -> str:
    """How a server on `port` is reached from this machine."""
    scheme = "https" if settings.tls_cert is not None else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - read, not bound
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class ServerHandle:
    """A server that runs. `port` is where it listens, `url` how it is reached from here."""

    def __init__(self, settings: Settings, realtime: Realtime, server: _Uvicorn, port: int) -> None:
        self.settings = settings
        self.realtime = realtime
        self.port = port
        self._server = server

    @property
    def url(self) -> str:
        """The base URL."""
        return base_url(self.settings, self.port)

    async def drain(self) -> int:
        """Close every connection in order; return how many had to be cut."""
        return await drain(
            self.realtime.hub,
            timeout_s=self.settings.drain_timeout_s,
            retry_after_ms=self.realtime.retry_after_ms,
        )


@contextlib.asynccontextmanager
async def running_server(settings: Settings, *, worker: int | None = None) -> AsyncIterator[ServerHandle]:
    """Run a server until the block ends, then drain it. `worker`: as that one of several on the port.

    Raises ListenError, CertificateError, and what `Realtime` raises for the log, the keys and the origins.
    """
    _check_certificate(settings)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in _listeners(settings, worker)]
        port = listeners[0].getsockname()[1]
        realtime = Realtime(settings)
        realtime.allow_own_origin(port)
        server = _Uvicorn(_config(settings, realtime))
        handle = ServerHandle(settings, realtime, server, port)
        serving = asyncio.ensure_future(server.serve(sockets=listeners))
        try:
            await _started(server, serving)
            yield handle
            await handle.drain()
        finally:
            server.should_exit = True
            await serving


def _listeners(settings: Settings, worker: int | None) -> Iterator[socket.socket]:
    """Give the port of all, then the worker's own, where each can be asked for its metrics."""
    yield listen(settings, shares_port=worker is not None)
    if worker is not None and settings.worker_port is not None:
        yield listen(settings.model_copy(update={"port": settings.worker_port + worker - 1}))


def check_settings(settings: Settings) -> None:
    """Raise what `running_server` would for the certificate, the log's URL, the keys and the origins."""
    _check_certificate(settings)
    Realtime(settings)


def _check_certificate(settings: Settings) -> None:
    if settings.tls_cert is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:  # an SSLError is one too, and says more in its reason
        reason = getattr(error, "reason", None) or error.strerror
        raise CertificateError(f"{settings.tls_cert} with {settings.tls_key}: {reason}") from None


async def _started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            serving.result()
            raise RuntimeError("the server ended while it started")
        await asyncio.sleep(0.005)


def _config(settings: Settings, realtime: Realtime) -> uvicorn.Config:
    options = HttpOptions(
        wheel=realtime.wheel,
        clock=realtime.clock,
        deadline_s=settings.header_deadline_s,
        max_bytes=settings.max_header_bytes,
        max_fields=settings.max_header_fields,
        proxies=TrustedProxies(settings.trusted_proxies),
        upgrade=_upgrade(settings, realtime),
    )
    return uvicorn.Config(
        create_app(settings, realtime),
        http=partial(HttpProtocol, options),  # type: ignore[arg-type] # it is called like the class
        ws="none",  # `upgrade` takes WebSocket handshakes over
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.rfc_ping_interval_s,
        ws_ping_timeout=settings.rfc_ping_timeout_s,
        lifespan="on",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, int(settings.drain_timeout_s / 3)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _upgrade(settings: Settings, realtime: Realtime) -> Callable[[HttpProtocol], None]:
    """Choose who takes WebSocket handshakes over: picows where it can be used, else uvicorn's protocol."""
    limits = uvicorn_protocol.FragmentLimits(
        wheel=realtime.wheel,
        now=realtime.clock.now,
        deadline_s=settings.message_deadline_s,
        max_fragments=settings.max_fragments,
    )
    upgrade = partial(uvicorn_protocol.upgrade, limits)
    if settings.fast_websockets and picows_upgrade.available():
        return picows_upgrade.PicowsUpgrade(realtime, otherwise=upgrade)
    return upgrade


def tune_collector() -> None:
    """Let the garbage collector look less often: for a process that is a server and nothing else.

    Connections are long-lived and free of cycles while they live; looking through all of them again and again
    took an eighth of the time of accepting and of acknowledged publishes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def serve_forever(settings: Settings, on_ready: Callable[[ServerHandle], None]) -> int:
    """Run until SIGTERM or SIGINT, then drain; return 0. A second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            sys.stderr.flush()
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return await _serve_until(stop, settings, on_ready)


async def serve_as_worker(number: int, settings: Settings, on_ready: Callable[[ServerHandle], None]) -> int:
    """The same as one of several workers on the port; SIGTERM, once or often, drains it."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return await _serve_until(stop, settings, on_ready, worker=number)


async def _serve_until(
    stop: asyncio.Event,
    settings: Settings,
    on_ready: Callable[[ServerHandle], None],
    *,
    worker: int | None = None,
) -> int:
    async with running_server(settings, worker=worker) as handle:
        tune_collector()
        on_ready(handle)
        await stop.wait()
    return 0
