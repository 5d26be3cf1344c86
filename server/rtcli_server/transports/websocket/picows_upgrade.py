"""From a checked handshake in our HTTP protocol to picows' WebSocket protocol on the same socket.

picows is given a plain handshake with the client's key, so that it answers and reads frames from then on. The
constructor of its server-side protocol is not public API. It is used here alone, `available()` tries it, and
where it does not work the portable transport serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import picows
from picows import picows as core

from rtcli_server.auth.admission import AdmissionRequest, Rejection
from rtcli_server.auth.authenticator import UnknownKeyError
from rtcli_server.auth.claims import Principal
from rtcli_server.headers import values
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import Realtime
from rtcli_server.session.session import HeartbeatMode
from rtcli_server.transports.http.handshake import PLAIN_HANDSHAKE
from rtcli_server.transports.http.protocol import HttpProtocol
from rtcli_server.transports.websocket.asgi_endpoint import PATHS
from rtcli_server.transports.websocket.picows_transport import PicowsOutlet

MAX_READ_BYTES = 65_536  # at once
READ_BUFFER_BYTES = 2_048  # of each connection at first; it grows with what comes at once
_NOBODY = asyncio.Protocol()


class PicowsUpgrade:
    """Takes over the handshakes of the realtime paths (`HttpOptions.upgrade`); `otherwise` takes the rest."""

    def __init__(self, realtime: Realtime, *, otherwise: Callable[[HttpProtocol], None]) -> None:
        self._realtime = realtime
        self._otherwise = otherwise

    def __call__(self, http: HttpProtocol) -> None:
        """Admit or reject the client, and take the transport over or answer with an HTTP status."""
        path, _, query = http.url.decode("latin-1").partition("?")
        heartbeat = PATHS.get(path)
        if heartbeat is None:
            self._otherwise(http)
            return
        client = http.scope["client"]
        request = AdmissionRequest(http.headers, query, client[0] if client else "", websocket=True)
        try:
            self._answer(http, heartbeat, request, self._realtime.admission.admit_at_once(request))
        except UnknownKeyError:
            http.transport.pause_reading()
            self._realtime.hub.spawn(self._answer_later(http, heartbeat, request))

    async def _answer_later(
        self, http: HttpProtocol, heartbeat: HeartbeatMode, request: AdmissionRequest
    ) -> None:
        verdict = await self._realtime.admission.admit(request)
        if not http.transport.is_closing():
            http.transport.resume_reading()
            self._answer(http, heartbeat, request, verdict)

    def _answer(
        self,
        http: HttpProtocol,
        heartbeat: HeartbeatMode,
        request: AdmissionRequest,
        verdict: Principal | Rejection,
    ) -> None:
        if isinstance(verdict, Principal):
            outlet = PicowsOutlet(self._realtime)
            outlet.connection = self._realtime.new_connection(verdict, outlet, heartbeat, request.address)
            outlet.with_events = request.query.get("events") == ["1"]
        elif verdict.close_code is None:
            http.refuse(ProblemError(verdict.status, verdict.code, verdict.text))
            return
        else:
            outlet = PicowsOutlet(self._realtime, verdict)
        protocol = new_protocol(outlet, request.subprotocol, self._realtime.settings.max_message_bytes)
        hand_over(http, protocol, values(request.headers, b"sec-websocket-key")[0])


class _ViolationLog:
    """Stands for a logger: picows says here, before it closes, that it found a violation."""

    __slots__ = ("_outlet",)

    def __init__(self, outlet: PicowsOutlet | None) -> None:
        self._outlet = outlet

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - logging's name
        """Nothing is logged for each connection or frame."""
        return False

    def error(self, *_args: object, **_extra: object) -> None:
        """A violation, after which picows sends a close frame."""
        if self._outlet is not None:
            self._outlet.broken()

    exception = error

    def debug(self, *_args: object, **_extra: object) -> None:
        """Ignored, as are the others."""

    info = warning = log = debug


class _Protocol(core.WSProtocol):  # type: ignore[misc, name-defined] # compiled, and not in its stubs
    """Takes no more at once than this: the read buffer doubles as long as it is filled, and never shrinks."""

    __slots__ = ()

    def get_buffer(self, size_hint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        buffer: memoryview = super().get_buffer(size_hint)
        return buffer[:MAX_READ_BYTES]


def new_protocol(outlet: PicowsOutlet | None, subprotocol: str | None, max_message_bytes: int) -> Any:  # noqa: ANN401 - untyped
    """Make picows' protocol for one server-side connection. Its constructor is private: see the top."""
    headers = {} if subprotocol is None else {"Sec-WebSocket-Protocol": subprotocol}
    response = picows.WSUpgradeResponse.create_101_response(headers)
    return _Protocol(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda _request: picows.WSUpgradeResponseWithListener(response, outlet),
        logger=_ViolationLog(outlet),
        disconnect_on_exception=True,
        websocket_handshake_timeout=None,
        enable_auto_ping=False,
        auto_ping_idle_timeout=None,
        auto_ping_reply_timeout=None,
        auto_ping_strategy=core.WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,
        max_frame_size=max_message_bytes,
        extra_headers=None,
        read_buffer_init_size=READ_BUFFER_BYTES,
    )


def hand_over(http: HttpProtocol, protocol: Any, key: bytes) -> None:  # noqa: ANN401 - untyped
    """Give the socket to picows, with a handshake that it can answer by itself."""
    http.let_go()
    transport = http.transport
    # uvloop keeps `data_received` of the last plain Protocol, also under a BufferedProtocol: without
    # this every connection would keep its HTTP parser and request, 6 KB, for as long as it lives.
    transport.set_protocol(_NOBODY)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    handshake = PLAIN_HANDSHAKE % key
    protocol.get_buffer(len(handshake))[: len(handshake)] = handshake
    protocol.buffer_updated(len(handshake))


def available() -> bool:
    """Whether this version of picows has the protocol that we know. Asked on a running loop."""
    try:
        protocol = new_protocol(None, None, 1_024)
    except (AttributeError, TypeError):
        return False
    return isinstance(protocol, asyncio.BufferedProtocol)
