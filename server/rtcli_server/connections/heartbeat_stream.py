"""A stream of heartbeats alone, which needs no token (protocol.md, section 4)."""

from __future__ import annotations

from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli.protocol.sse import encode_event
from rtcli_server.connections.event_stream_writer import EventStreamServices, OpenWriter, send_closing
from rtcli_server.connections.hub import Client


class HeartbeatStream(Client):
    """Heartbeats with ids that count from 1, in their data too."""

    transport = "sse"

    def __init__(
        self,
        services: EventStreamServices,
        open_writer: OpenWriter,
        *,
        connection_id: str,
        address: str,
        heartbeat_s: float,
        retry_ms: int,
    ) -> None:
        self._services = services
        self._heartbeat_s = heartbeat_s
        self._retry_ms = retry_ms
        self._count = 0
        self.connection_id = connection_id
        self.user_id = connection_id  # no user: each stream counts by itself
        self.address = address
        self.slot = 0
        self.writer = open_writer(self)

    def begin(self) -> None:
        """Send the first heartbeat."""
        self._send_heartbeat(self._services.clock.now(), self._retry_ms)

    def on_timer(self, now: float) -> None:
        """Send the next heartbeat; cut off a client that does not read."""
        if self.writer.busy:
            self.abort()
        else:
            self._send_heartbeat(now)

    def _send_heartbeat(self, now: float, retry_ms: int | None = None) -> None:
        self._count += 1
        data = b'{"status":"alive","id":%d}' % self._count
        self.writer.write(encode_event(id=str(self._count), event="heartbeat", data=data, retry_ms=retry_ms))
        self._services.wheel.schedule(self, now + self._heartbeat_s)

    @property
    @override
    def waiting_bytes(self) -> int:
        return self.writer.waiting_bytes

    def set_busy(self, *, on: bool) -> None:
        """Do nothing: `on_timer` checks."""

    def set_full(self) -> None:
        """Do nothing: `on_timer` checks."""

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        self._services.hub.closing(self, code, reason)
        send_closing(self.writer, str(self._count), code, reason, retry_after_ms)

    @override
    def abort(self) -> None:
        self.writer.abort()

    def lost(self) -> None:
        """End the stream, whose transport is closed."""
        self._services.wheel.cancel(self)
        self._services.hub.remove(self)
