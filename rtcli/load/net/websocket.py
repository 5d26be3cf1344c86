"""WebSocket connections of many users, on picows: one object each, and as little as possible per message.

A frame that is byte for byte what the membership expects next (see `audit.membership`) is accounted for
here: one comparison, one count, and the cursor moves on. All other frames go to the receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from time import monotonic_ns
from typing import Protocol, cast

import picows

from rtcli.load.audit.entry import Entry
from rtcli.load.audit.membership import Membership
from rtcli.load.errors import RefusedError
from rtcli.load.net.patience import patient_timeout
from rtcli.load.net.read_buffers import READ_BUFFER, SmallReadProtocol
from rtcli.load.net.source_addresses import SourceAddresses, bytes_received, reset_on_close
from rtcli.load.net.throttle import Throttle
from rtcli.load.scenario.steps import Kill

_MAX_MESSAGE = 16 * 1024 * 1024  # bytes of a frame, and of a message in fragments
_MAX_FRAGMENTS = 4_096
_MAX_UNREAD = 65_536  # bytes that the server has not read, beyond which its pings are not answered
_TEXT = picows.WSMsgType.TEXT
_CONTINUATION = picows.WSMsgType.CONTINUATION
_BINARY = picows.WSMsgType.BINARY
_CLOSE = picows.WSMsgType.CLOSE
_PING = picows.WSMsgType.PING
_NO_STATUS = 1005
_ABNORMAL = 1006
_TOO_BIG = 1009
# What goes wrong with a connection is reported by its close code, not in a log. It is an adapter, since
# picows makes a child of a mere logger for each connection.
_quiet = logging.getLogger("rtcli.loadtest.picows")
_quiet.setLevel(logging.CRITICAL + 1)
_LOGGER = logging.LoggerAdapter(_quiet)


class Receiver(Protocol):
    """Who a connection reports to. `now` is in microseconds of the monotonic clock."""

    def on_frame(self, data: bytes, now: int) -> None:
        """A message that the connection did not account for itself."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """The connection has ended; called once, unless it was killed."""
        ...


class _NoMembership:
    """Takes the place of a membership: it expects nothing, so every frame goes to the receiver."""

    __slots__ = ("cursor",)

    def __init__(self) -> None:
        self.cursor = Entry(0, -1)


NO_MEMBERSHIP = _NoMembership()


class WebSocketConnection(picows.WSListener):
    """One connection. Set `member` to the membership whose messages are to be expected."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver: Receiver | None = receiver
        self.member: Membership | _NoMembership = NO_MEMBERSHIP
        self.frames = 0  # that were not accounted for here
        self.socket: socket.socket | None = None
        self._transport: picows.WSTransport | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._code = _ABNORMAL
        self._reason = ""
        self._throttle: Throttle | None = None

    # -- picows' callbacks ---------------------------------------------------------------------------------

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Keep the transport."""
        self._transport = transport
        under = transport.underlying_transport
        under.set_protocol(SmallReadProtocol(cast("asyncio.BufferedProtocol", under.get_protocol())))

    def on_ws_frame(self, _transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Account for the frame that is expected; pass any other on."""
        data = frame.get_payload_as_bytes()
        member = self.member
        entry = member.cursor.next
        if entry is not None and entry.frame == data:
            member.cursor = entry
            entry.last_seen = member.received_at = now = monotonic_ns() // 1000  # type: ignore[union-attr] # without a membership nothing is expected
            late = now - entry.intended
            if late < 2048:  # `bucket_index`, in place: a call costs as much as all of it
                member.counts[entry.delivery_key + late] += 1  # type: ignore[union-attr] # without a membership nothing is expected
            else:
                shift = late.bit_length() - 11
                member.counts[entry.delivery_key + (shift << 10) + (late >> shift)] += 1  # type: ignore[union-attr] # without a membership nothing is expected
        else:
            self._handle_frame(frame, data)
        if self._throttle is not None:
            self._throttle.on_read(len(data))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Report the end."""
        if self._code == _ABNORMAL:
            _retrieve_error(transport)
        receiver, self.receiver = self.receiver, None
        if self._throttle is not None:
            self._throttle.stop()
        if receiver is not None:
            receiver.on_closed(self._code, self._reason)

    def _handle_frame(self, frame: picows.WSFrame, data: bytes) -> None:
        kind = frame.msg_type
        if kind is _CLOSE:
            self._read_close(data)
        elif kind is _PING:
            self._answer_ping(data)
        elif kind in {_TEXT, _BINARY, _CONTINUATION}:
            if self._parts or not frame.fin:
                if not self._keep_part(data) or not frame.fin:
                    return
                data = b"".join(self._parts)
                self._parts.clear()
                self._parts_bytes = 0
            self.frames += 1
            if self.receiver is not None:
                self.receiver.on_frame(data, monotonic_ns() // 1000)

    def _keep_part(self, data: bytes) -> bool:
        """Keep a fragment until all have come. A message that is too long ends the connection: False."""
        self._parts.append(data)
        self._parts_bytes += len(data)
        is_too_long = self._parts_bytes > _MAX_MESSAGE or len(self._parts) > _MAX_FRAGMENTS
        if is_too_long:
            self._parts = [b""]  # what still comes of the message is too much as well
            self._parts_bytes = _MAX_MESSAGE + 1
            self._reason = "a message that is too long, or in too many fragments"
            self.close(_TOO_BIG, self._reason)
            if self._transport is not None:
                self._transport.disconnect()
        return not is_too_long

    def _answer_ping(self, data: bytes) -> None:
        """Answer while the server reads: RFC 6455, section 5.5.3, lets pongs be left out before the last."""
        transport = self._transport
        if transport is not None and transport.underlying_transport.get_write_buffer_size() <= _MAX_UNREAD:
            transport.send_pong(data)

    def _read_close(self, data: bytes) -> None:
        self._code = int.from_bytes(data[:2], "big") if len(data) >= 2 else _NO_STATUS
        self._reason = data[2:].decode("utf-8", "replace")
        if self._transport is not None:  # RFC 6455, 5.5.1: "MUST send a Close frame in response"
            self._transport.send_close(picows.WSCloseCode.NO_INFO, None)
            self._transport.disconnect()

    @property
    def is_open(self) -> bool:
        """Whether the handshake has been completed. picows takes an early end of the connection for it."""
        return self._transport is not None

    @property
    def received(self) -> int:
        """Bytes that have come over the connection, as the kernel counts them: here it would cost time."""
        return 0 if self.socket is None else bytes_received(self.socket)

    # -- for transports ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a text message."""
        if self._transport is not None:
            self._transport.send(_TEXT, data)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; `on_closed` reports its end."""
        if self._transport is not None and not self._transport.is_close_frame_sent:
            self._transport.send_close(code, reason.encode()[:123])  # type: ignore[arg-type] # picows' stub names its own codes only

    def kill(self, how: Kill) -> None:
        """Lose the connection; nothing more is reported of it."""
        self.receiver = None
        self.member = NO_MEMBERSHIP
        transport = self._transport
        if transport is None:
            return
        if how is Kill.BLACKHOLE:
            transport.underlying_transport.pause_reading()
        elif how is Kill.FIN:
            transport.disconnect()
        else:
            if self.socket is not None:
                with contextlib.suppress(OSError):  # the other side was quicker
                    reset_on_close(self.socket)
            transport.disconnect(graceful=False)

    def give_up(self) -> None:
        """Reset the connection, whether it is open or not yet; nothing is reported of it.

        Before it is open, its transport is out of reach, and is made to close by what it reads. The
        descriptor is not closed here: the event loop watches it, or is about to.
        """
        self.kill(Kill.RST)
        if self._transport is None and self.socket is not None:
            with contextlib.suppress(OSError):  # the other side was quicker
                reset_on_close(self.socket)
                self.socket.shutdown(socket.SHUT_RD)

    def limit_reading(self, rate: float) -> None:
        """Read no more than `rate` bytes per second, by leaving the rest to TCP."""
        if self._transport is not None:
            self._throttle = Throttle(self._transport.underlying_transport, rate)

    def read_freely(self) -> None:
        """Lift that limit."""
        if self._throttle is not None:
            self._throttle.stop()
            self._throttle = None


def _retrieve_error(transport: picows.WSTransport) -> None:
    """Look at the error that ended a connection, if any: otherwise asyncio complains that nobody did."""
    waiting = asyncio.ensure_future(transport.wait_disconnected())
    waiting.add_done_callback(lambda done: None if done.cancelled() else done.exception())


async def open_websocket(
    receiver: Receiver,
    url: str,
    *,
    sources: SourceAddresses,
    headers: list[tuple[str, str]],
    subprotocols: tuple[str, ...] = (),
    tls: tuple[ssl.SSLContext, str] | None,
    read: float | None = None,
    timeout: float,  # noqa: ASYNC109 - covers connecting and the answer
) -> WebSocketConnection:
    """Connect. Raises OSError, TimeoutError, or RefusedError."""
    connection = WebSocketConnection(receiver)
    buffer = None if read is None else READ_BUFFER
    offered = [("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else []

    async def connect(_url: object) -> socket.socket:
        connection.socket = await sources.connect(receive_buffer=buffer)
        return connection.socket

    try:
        async with patient_timeout(timeout):
            await picows.ws_connect(
                lambda: connection,
                url,
                socket_factory=connect,
                websocket_handshake_timeout=timeout,
                extra_headers=[*headers, *offered],
                ssl_context=None if tls is None else tls[0],
                max_redirects=0,
                max_frame_size=_MAX_MESSAGE,
                enable_auto_pong=False,
                read_buffer_init_size=READ_BUFFER,
                logger_name=_LOGGER,
            )
    except picows.WSHandshakeError as error:
        status = 0 if error.response is None else int(error.response.status)
        raise RefusedError(status, f"HTTP {status}" if status else str(error)) from None
    except picows.WSError as error:
        raise RefusedError(0, str(error)) from None
    except BaseException:
        connection.give_up()
        raise
    if not connection.is_open:
        raise RefusedError(0, "closed without an answer")
    if read is not None:
        connection.limit_reading(read)
    return connection
