"""The WebSocket transport on picows: frames are parsed by C code, and all members get the same bytes.

picows leaves to its listener: RSV bits, the order of fragments, UTF-8, some close codes, echoing a close, and
pings (RFC 6455, sections 5.2 to 7.4). The bundled server serves the realtime paths with it;
`picows_upgrade.py` hands the sockets over.
"""

from __future__ import annotations

from typing import Any

import picows
from picows import picows as core

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.claims import Principal
from rtcli_server.delivery.resumption import Opening
from rtcli_server.delivery.wire import CLOSE, PING, PONG, Format
from rtcli_server.delivery.wire import frame as make_frame
from rtcli_server.realtime import RealtimeServer
from rtcli_server.session.settings import HeartbeatMode
from rtcli_server.transports.websocket.frames import (
    ControlFrameLimit,
    FragmentedMessage,
    FrameError,
    check_close_payload,
)
from rtcli_server.transports.websocket.picows_rejected import send_close

_TEXT, _CONTINUATION = core.WSMsgType.TEXT, core.WSMsgType.CONTINUATION
_CLOSE, _PING, _PONG = core.WSMsgType.CLOSE, core.WSMsgType.PING, core.WSMsgType.PONG

MAX_REPLIES = 500  # kept for one write at the end of the loop turn


class PicowsTransport(core.WSListener):
    """One socket of an admitted client: makes its connection, reads for it, and is its WebSocketWriter."""

    format = Format.FRAMES
    __slots__ = (

        "_budget",
        "_connection",
        "_control",
        "_fragments",
        "_late_pong",
        "_opening",
        "_realtime",
        "_replies",
        "_socket",
        "_transport",
        "busy",
        "full",
        "write",
    )  # fmt: skip

    def __init__(
        self,
        realtime: RealtimeServer,
        principal: Principal,
        heartbeat: HeartbeatMode,
        address: str,
        opening: Opening,
    ) -> None:
        self._realtime = realtime
        self._opening = opening
        self._connection = realtime.clients.new_connection(principal, self, heartbeat, address)
        self._fragments: FragmentedMessage | None = None
        self._replies: list[bytes] = []
        self._late_pong: bytes | None = None
        self._control = ControlFrameLimit()
        self._budget = realtime.send_budget
        self.busy = self.full = False

    # -- callbacks of picows -------------------------------------------------------------------------------

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Open the connection: the handshake was answered."""
        self._transport = transport
        self._socket = transport.underlying_transport
        self.write = self._socket.write
        self._socket.set_write_buffer_limits(high=self._budget.high_bytes, low=self._budget.low_bytes)
        self._connection.open(self._opening)
        del self._opening

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Handle one frame. RSV bits, section 5.2: "MUST be 0 unless an extension is negotiated"."""
        kind = frame.msg_type
        if transport.is_close_frame_sent:
            if kind is _CLOSE:
                self._socket.close()
            return
        if (
            kind is _TEXT
            and frame.fin
            and self._fragments is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._fail(FrameError(CloseCode.INVALID_PAYLOAD, "not UTF-8"))
            else:
                self._connection.text(text)
            return
        try:
            self._on_other(kind, frame)
        except FrameError as error:
            self._fail(error)
            if kind is _CLOSE:  # section 7.1.1: a close frame was received and one sent, so TCP ends
                self._socket.close()

    def _on_other(self, kind: core.WSMsgType, frame: picows.WSFrame) -> None:
        if _reserved(frame):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bit set")
        if kind is _CLOSE:
            self._on_close(frame.get_payload_as_bytes())
        elif kind is _PING or kind is _PONG:
            self._control.take(self._realtime.clock.now())
            self._connection.control_frame()
            if kind is _PING:
                self._answer_ping(make_frame(frame.get_payload_as_bytes(), PONG))
        else:
            self._on_fragment(kind, frame)

    def _answer_ping(self, pong: bytes) -> None:
        """Section 5.5.3: it may "send a Pong frame for only the most recently processed Ping frame"."""
        if self.busy:
            self._late_pong = pong
        else:
            self._push(pong)

    def _on_close(self, payload: bytes) -> None:
        """Section 5.5.1: answer a close frame with one, usually the same; then the TCP connection ends."""
        error = check_close_payload(payload)
        if error is not None:
            raise error
        self._leave()
        self._replies.clear()
        code = int.from_bytes(payload[:2], "big")
        if payload:
            send_close(self._transport, code)
        else:
            self.write(make_frame(b"", CLOSE))
        self._socket.close()

    def _on_fragment(self, kind: core.WSMsgType, frame: picows.WSFrame) -> None:
        """Section 5.4: a first frame with an opcode, then continuations, and nothing else in between."""
        fragments = self._fragments
        if (kind is _CONTINUATION) is (fragments is None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "frame out of order")
        settings = self._realtime.settings
        if fragments is None:
            fragments = self._fragments = FragmentedMessage(is_text=kind is _TEXT, on_late=self._on_late)
            self._realtime.wheel.schedule(fragments, self._realtime.clock.now() + settings.message_deadline_s)
        fragments.add(
            frame.get_payload_as_bytes(),
            final=bool(frame.fin),
            max_bytes=settings.max_message_bytes,
            max_count=settings.max_fragments,
        )
        if not frame.fin:
            return
        self._forget_fragments()
        text = fragments.text()
        if text is None:
            self._connection.binary()
        else:
            self._connection.text(text)

    def _forget_fragments(self) -> None:
        if self._fragments is not None:
            self._realtime.wheel.cancel(self._fragments)
            self._fragments = None

    def _on_late(self) -> None:
        self._fail(FrameError(CloseCode.REFUSED, "message not complete in time"))

    def _fail(self, error: FrameError) -> None:
        self._forget_fragments()
        self._connection.shut_down(error.code, error.reason, None)

    def on_violation(self) -> None:
        """Write nothing more: picows has found a violation of the protocol, and closes.

        picows reads ahead: a close frame before the violation is answered first (section 5.5.1).
        """
        answer = _unanswered_close(self._transport.close_handshake)
        if answer is not None:
            send_close(self._transport, answer)
        self._leave()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:  # noqa: ARG002 - picows' interface
        """Take the connection away: the socket is closed."""
        self._leave()

    def _leave(self) -> None:
        self._forget_fragments()
        self._connection.lost()
        self.write = self._socket.write  # not a method of its own: nothing is left to the collector

    def pause_writing(self) -> None:
        """Tell the connection that much waits; write with a check from now on."""
        self.busy = True
        self.write = self._write_with_check
        self._connection.set_busy(on=True)
        self._check_budget()

    def resume_writing(self) -> None:
        """Tell the connection that the transport has drained."""
        self.busy = self.full = False
        self.write = self._socket.write
        if self._late_pong is not None:
            self._push(self._late_pong)
            self._late_pong = None
        self._connection.set_busy(on=False)

    def _write_with_check(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self._socket.write(data)
        self._check_budget()

    def _check_budget(self) -> None:
        if not self.full and self._socket.get_write_buffer_size() > self._budget.limit_bytes:
            self.full = True
            self._connection.set_full()

    @property
    def waiting_bytes(self) -> int:
        """Number of bytes in the transport's buffer and in replies that wait for the end of the loop turn."""
        return int(self._socket.get_write_buffer_size()) + sum(map(len, self._replies))

    # -- the WebSocketWriter ---------------------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Send one message in this loop turn; what one turn brings is joined into one write."""
        self._push(make_frame(text))

    def _push(self, reply: bytes) -> None:
        self._replies.append(reply)
        if len(self._replies) == 1:
            self._realtime.reply_flusher.add(self)
        elif len(self._replies) >= MAX_REPLIES:
            self.flush()  # one turn may read 32 buffers: what is written counts, and stops the reading

    def flush(self) -> None:
        """Send what `send` was given, so that a `write` comes after it."""
        replies, self._replies = self._replies, []
        if replies and not self._transport.is_disconnected:
            self.write(b"".join(replies))

    def ping(self) -> None:
        """Send an RFC 6455 ping."""
        self.write(make_frame(b"", PING))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's; nothing is sent after it."""
        send_close(self._transport, code, reason)

    def abort(self) -> None:
        """Drop the transport, and what it holds."""
        self._socket.abort()

    def set_reading(self, *, on: bool) -> None:
        """Stop or resume reading."""
        if self._socket.is_closing():
            return
        if on:
            self._socket.resume_reading()
        else:
            self._socket.pause_reading()


def _reserved(frame: picows.WSFrame) -> bool:
    return bool(frame.rsv1 or frame.rsv2 or frame.rsv3)


def _unanswered_close(handshake: Any) -> int | None:  # noqa: ANN401 - picows' stub says it is never None
    """The code to answer a close frame with that has come and was not answered."""
    if handshake is None or handshake.recv is None or handshake.sent is not None:
        return None
    return int(handshake.recv.code or CloseCode.NORMAL)
