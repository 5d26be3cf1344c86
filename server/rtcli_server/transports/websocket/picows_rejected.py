"""A WebSocket on picows that is accepted only to be closed, and how close frames are sent with it."""

from __future__ import annotations

import picows
from picows import picows as core

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.admission import Rejection
from rtcli_server.connections.websocket import CLOSE_TIMEOUT_S
from rtcli_server.delivery.wire import cut_reason
from rtcli_server.delivery.wire import frame as make_frame
from rtcli_server.realtime import RealtimeServer


def send_close(transport: picows.WSTransport, code: int, reason: str = "") -> None:
    """Send a close frame."""
    # Typed as picows' own enumeration, which has not our codes; the compiled function takes any number.
    transport.send_close(code, cut_reason(reason))  # type: ignore[arg-type] # picows' stub names its own codes only


class RejectedTransport(core.WSListener):
    """One socket that is accepted only to be closed with a reason: a browser cannot read an HTTP status."""

    __slots__ = ("_realtime", "_rejection", "_socket", "slot")

    def __init__(self, realtime: RealtimeServer, rejection: Rejection) -> None:
        self._realtime = realtime
        self._rejection = rejection
        self.slot = 0

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Say when to come back, if that is allowed; close, and give the peer some time to answer."""
        self._socket = transport.underlying_transport
        rejection = self._rejection
        closing = rejection.closing(self._realtime.clock.timestamp())
        if closing is not None:
            self._socket.write(make_frame(closing))
        send_close(transport, rejection.close_code or CloseCode.REFUSED, rejection.reason)
        self._realtime.wheel.schedule(self, self._realtime.clock.now() + CLOSE_TIMEOUT_S)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:  # noqa: ARG002 - picows' interface
        """End with the peer's close frame; ignore every other frame."""
        if frame.msg_type is core.WSMsgType.CLOSE:
            self._socket.close()

    def on_violation(self) -> None:
        """Do nothing: picows closes, and no answer is due."""

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:  # noqa: ARG002 - picows' interface
        """Cancel the time for the peer's close frame."""
        self._realtime.wheel.cancel(self)

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Drop a client that has not closed."""
        self._socket.abort()
