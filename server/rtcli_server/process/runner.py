"""Runs a server in this process: under tests and load tests, and for `rtcli serve`.

    async with running_server(Settings(port=0, secrets=(SECRET,))) as server:
        print(server.url)      # http://127.0.0.1:49152

uvicorn does not handle signals here: a server ends with its drain, then uvicorn's own shutdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import uvicorn
from typing_extensions import override

from rtcli_server.app import create_app
from rtcli_server.connections.drain import drain
from rtcli_server.process.listeners import BACKLOG, base_url, open_listeners
from rtcli_server.process.memory_return import MemoryReturn, resident_bytes, trim_heap
from rtcli_server.realtime import RealtimeServer
from rtcli_server.settings import Settings
from rtcli_server.timing.supervision import OnEnd, Supervised, Supervisor
from rtcli_server.transports.http.options import HttpOptions
from rtcli_server.transports.http.protocol import HttpProtocol
from rtcli_server.transports.http.trusted_proxies import TrustedProxies
from rtcli_server.transports.websocket import picows_upgrade, uvicorn_protocol

HTTP_SERVER = Supervised("the HTTP server", OnEnd.EXIT)
EXIT_MARGIN_S = 2.0  # after the drain timeout, a server that must end is ended
FAILED = 6  # the exit code then (docs/cli.md)


class CertificateError(Exception):
    """The certificate or its key cannot be used."""


class ServerFailedError(Exception):
    """Something has ended without which the server cannot go on; the text says what, and why."""


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without its signal handlers, which would end the process by the signal."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ServerHandle:
    """A running server. `port` is where it listens, `url` is its base URL from this machine."""

    def __init__(self, settings: Settings, realtime: RealtimeServer, port: int) -> None:
        self.settings = settings
        self.realtime = realtime
        self.port = port

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
    """Run a server until the block ends, then drain it.

    `worker` is its number when it is one of several workers on the port.

    Raises ListenError, CertificateError, and what `RealtimeServer` raises for the log, the keys, the origins.
    """
    _check_certificate(settings)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in open_listeners(settings, worker)]
        port = listeners[0].getsockname()[1]
        realtime = RealtimeServer(settings)
        realtime.allow_own_origin(port)
        server = _Uvicorn(_config(settings, realtime))
        handle = ServerHandle(settings, realtime, port)
        serving = asyncio.ensure_future(server.serve(sockets=listeners))
        serving.add_done_callback(partial(_report_end, realtime.supervisor))
        try:
            await _started(server, serving)
            yield handle
            await handle.drain()
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
            if realtime.supervisor.exit_cause:  # what has failed may be what stops the rest
                await realtime.stop()
        if not realtime.supervisor.exit_cause:
            serving.result()


def _report_end(supervisor: Supervisor, serving: asyncio.Task[None]) -> None:
    error = None if serving.cancelled() else serving.exception()
    supervisor.ended(HTTP_SERVER, error or "it returned")  # at the end of the server, that is expected


def check_settings(settings: Settings) -> None:
    """Raise what `running_server` raises for a bad certificate, log URL, key or origin."""
    _check_certificate(settings)
    RealtimeServer(settings)


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


def _config(settings: Settings, realtime: RealtimeServer) -> uvicorn.Config:
    options = HttpOptions(
        wheel=realtime.wheel,
        clock=realtime.clock,
        deadline_s=settings.header_deadline_s,
        max_bytes=settings.max_header_bytes,
        max_fields=settings.max_header_fields,
        proxies=TrustedProxies(settings.trusted_proxies),
        answers=realtime.answers,
    )
    return uvicorn.Config(
        create_app(settings, realtime),
        http=partial(HttpProtocol, options, _upgrade(settings, realtime)),  # type: ignore[arg-type] # it is called like the class
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


def _upgrade(settings: Settings, realtime: RealtimeServer) -> Callable[[HttpProtocol], None]:
    """Choose who takes WebSocket handshakes over: picows where it can be used, else uvicorn's protocol."""
    if settings.fast_websockets and picows_upgrade.available():
        return picows_upgrade.PicowsUpgrade(realtime)
    limits = uvicorn_protocol.FragmentLimits(
        wheel=realtime.wheel,
        now=realtime.clock.now,
        deadline_s=settings.message_deadline_s,
        max_fragments=settings.max_fragments,
    )
    return partial(uvicorn_protocol.upgrade, limits)


def tune_collector() -> None:
    """Let the garbage collector run less often, in a process that is a server and nothing else.

    Connections are long-lived and free of cycles while they live. Scanning all of them again and again took
    an eighth of the time of accepting connections and of acknowledged publishes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _return_memory(realtime: RealtimeServer) -> None:
    MemoryReturn(
        realtime.wheel,
        ended=lambda: realtime.ended_connections,
        give_back=trim_heap,
        resident_bytes=resident_bytes,
    ).start(realtime.clock.now())


async def serve_forever(settings: Settings, on_ready: Callable[[ServerHandle], None]) -> int:
    """Run until SIGTERM or SIGINT, then drain; return 0. A second signal ends the process at once.

    Raises ServerFailedError, after draining, when something has ended without which it cannot go on.
    """
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
    """Run as one of several workers on the port until SIGTERM, then drain; return 0.

    Further SIGTERMs do nothing. Raises ServerFailedError as `serve_forever` does.
    """
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
        _return_memory(handle.realtime)
        on_ready(handle)
        await _stopped(stop, handle)
        failure = handle.realtime.supervisor.exit_cause
    if failure:
        raise ServerFailedError(failure)
    return 0


async def _stopped(stop: asyncio.Event, handle: ServerHandle) -> None:
    """Wait until the server shall end, or must; in the latter case it ends for certain, also if it hangs."""
    reasons = [
        asyncio.ensure_future(stop.wait()),
        asyncio.ensure_future(handle.realtime.supervisor.wait_for_exit()),
    ]
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    for reason in reasons:
        reason.cancel()
    await asyncio.gather(*reasons, return_exceptions=True)
    if handle.realtime.supervisor.exit_cause:
        seconds = handle.settings.drain_timeout_s + EXIT_MARGIN_S
        asyncio.get_running_loop().call_later(seconds, os._exit, FAILED)
