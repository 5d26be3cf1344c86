"""Upgrades a checked handshake of the HTTP protocol to picows' WebSocket protocol on the same socket.

picows gets a plain handshake with the client's key. It answers that, and reads frames from then on. The
constructor of its server-side protocol is not public API. It is used here alone, `available()` tries it, and
where it does not work the portable transport serves.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, TypeAlias

import picows
from picows import picows as core

from rtcli_server.auth.admission import AdmissionRequest, Rejection, UndecidedError
from rtcli_server.auth.authenticator import UnknownKeyError
from rtcli_server.auth.claims import Principal
from rtcli_server.delivery.resumption import read_opening
from rtcli_server.headers import header_values
from rtcli_server.problems import ProblemError
from rtcli_server.realtime import RealtimeServer
from rtcli_server.session.settings import HeartbeatMode
from rtcli_server.transports.http.handshake import PLAIN_HANDSHAKE
from rtcli_server.transports.http.protocol import HttpProtocol
from rtcli_server.transports.websocket.asgi_endpoint import PATHS
from rtcli_server.transports.websocket.picows_rejected import RejectedTransport
from rtcli_server.transports.websocket.picows_transport import PicowsTransport

MAX_READ_BYTES = 65_536  # at once
READ_BUFFER_BYTES = 2_048  # of each connection at first; it grows with what comes at once
Listener: TypeAlias = PicowsTransport | RejectedTransport


class PicowsUpgrade:
    """Takes over the handshakes of the realtime paths; there are no others."""

    def __init__(self, realtime: RealtimeServer) -> None:
        self._realtime = realtime

    def __call__(self, http: HttpProtocol) -> None:
        """Admit or reject the client, and take the transport over or answer with an HTTP status."""
        head = http.head
        heartbeat = PATHS.get(head.raw_path.decode())
        if heartbeat is None:
            http.refuse(ProblemError(404))
            return
        address = http.client[0] if http.client else ""
        request = AdmissionRequest(head.headers, head.query.decode(), address, websocket=True)
        try:
            self._answer(http, heartbeat, request, self._realtime.admission.admit_at_once(request))
        except (UnknownKeyError, UndecidedError):
            http.transport.pause_reading()
            self._realtime.tasks.spawn(self._answer_later(http, heartbeat, request))

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
            max_rooms = self._realtime.settings.max_rooms
            opening = read_opening(request.query, verdict.user_id, max_rooms=max_rooms)
            listener: Listener = PicowsTransport(self._realtime, verdict, heartbeat, request.address, opening)
        elif verdict.close_code is None:
            http.refuse(ProblemError(verdict.status, verdict.code, verdict.text))
            return
        else:
            listener = RejectedTransport(self._realtime, verdict)
        protocol = new_protocol(listener, request.subprotocol, self._realtime.settings.max_message_bytes)
        hand_over(http, protocol, header_values(request.headers, b"sec-websocket-key")[0])


class _ViolationLog:
    """Given to picows as its logger: picows logs here, before it closes, that it found a violation."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener | None) -> None:
        # Weak: the listener has picows' transport, and that has this logger.
        self._listener = None if listener is None else weakref.ref(listener)

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - logging's name
        """Return False: nothing is logged per connection or frame."""
        return False

    def error(self, *_args: object, **_extra: object) -> None:
        """Report a violation, after which picows sends a close frame."""
        listener = None if self._listener is None else self._listener()
        if listener is not None:
            listener.on_violation()

    exception = error

    def debug(self, *_args: object, **_extra: object) -> None:
        """Ignore this, and the other levels."""

    info = warning = log = debug


class _Protocol(core.WSProtocol):  # type: ignore[misc, name-defined] # compiled, and not in its stubs
    """Reads at most MAX_READ_BYTES at once: the read buffer doubles while it is filled, and never shrinks."""

    __slots__ = ()

    def get_buffer(self, size_hint: int) -> memoryview:
        """Return the read buffer, but no more than MAX_READ_BYTES of it."""
        buffer: memoryview = super().get_buffer(size_hint)
        return buffer[:MAX_READ_BYTES]


def new_protocol(listener: Listener | None, subprotocol: str | None, max_message_bytes: int) -> Any:  # noqa: ANN401 - untyped
    """Make picows' protocol for one server-side connection. Its constructor is not public API: see above."""
    headers = {} if subprotocol is None else {"Sec-WebSocket-Protocol": subprotocol}
    response = picows.WSUpgradeResponse.create_101_response(headers)
    return _Protocol(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda _request: picows.WSUpgradeResponseWithListener(response, listener),
        logger=_ViolationLog(listener),
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
    """Give the socket to picows' protocol, with a plain handshake that it answers by itself."""
    http.let_go()
    transport = http.transport
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    handshake = PLAIN_HANDSHAKE % key
    protocol.get_buffer(len(handshake))[: len(handshake)] = handshake
    protocol.buffer_updated(len(handshake))


def available() -> bool:
    """Whether this version of picows has the expected protocol. Call it on a running event loop."""
    try:
        protocol = new_protocol(None, None, 1_024)
    except (AttributeError, TypeError):
        return False
    return isinstance(protocol, asyncio.BufferedProtocol)
