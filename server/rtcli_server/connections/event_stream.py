"""One event stream: several channels, one cursor (protocol.md, sections 4 and 6).

The id of every event is the stream's whole cursor at that event. Only one channel moves at a time, so the
part for the other channels, the suffix, is kept until another channel moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import asdict
from typing_extensions import override

from rtcli.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode
from rtcli.protocol.messages import ReadyData
from rtcli.protocol.position import ROOM_PREFIX, format_cursor
from rtcli.protocol.publication import DIRECT
from rtcli.protocol.sse import encode_event
from rtcli_server.auth.claims import Principal
from rtcli_server.connections.event_stream_writer import EventStreamServices, OpenWriter, send_closing
from rtcli_server.connections.hub import KICKED, Client
from rtcli_server.delivery import resumption
from rtcli_server.delivery.channel import Subscriber, Subscription, Write
from rtcli_server.delivery.recovery import RecoveryResult, begin, read_missed
from rtcli_server.delivery.resumption import Resume
from rtcli_server.delivery.wire import EventBatch, Format

_encode = msgspec.json.Encoder().encode


class EventStream(Subscriber, Client):
    """One event stream: a `Subscriber` of fan-out, a `Client` of the hub, a `Timer` of the wheel."""

    format = Format.EVENTS
    transport = "sse"

    def __init__(
        self,
        services: EventStreamServices,
        open_writer: OpenWriter,
        *,
        connection_id: str,
        principal: Principal,
        address: str,
        expiry_grace_s: float,
        heartbeat_s: float,
        retry_ms: int,
    ) -> None:
        self._services = services
        self.connection_id = connection_id
        self.principal = principal
        self.user_id = principal.user_id
        self.address = address
        self.slot = 0
        self._expiry_grace_s = expiry_grace_s
        self._heartbeat_s = heartbeat_s
        self._heartbeat_at = 0.0
        self._retry_ms = retry_ms
        self._subscriptions: list[Subscription] = []
        self._moved: Subscription | None = None  # the last one written: `_suffix` is for it
        self._suffix = b""
        self._begun = False  # `ready` was written: before that there is no cursor
        self._closing = False
        self._gone = False
        self.writer = open_writer(self)

    # -- opening -------------------------------------------------------------------------------------------

    async def open(self, channels: Sequence[str], resume: Resume, *, max_replay: int) -> None:
        """Send `ready`, then what follows the cursor in the channels that it names; then go live.

        Raises BrokerUnavailableError.
        """
        fanout = self._services.fanout
        subscriptions = self._subscriptions = [fanout.open(channel, self) for channel in channels]
        try:
            resumed = await read_missed(
                self._services.history,
                [
                    resumption.request_of(subscription, resume.cursor, max_replay)
                    for subscription in subscriptions
                ],
                piece_bytes=self._services.send_budget.piece_bytes,
            )
            if not self._gone:
                self._begin(resumed, resume)
        finally:
            for subscription in subscriptions:
                subscription.channel.release()

    def _begin(self, resumed: Sequence[RecoveryResult], resume: Resume) -> None:
        """Write `ready`, and go live behind the replays. The cursor of `ready` is where they begin."""
        for subscription, result in zip(self._subscriptions, resumed, strict=True):
            subscription.position = resumption.start_of(subscription.channel.name, result, resume.cursor)
        self._begun = True
        self.writer.write(self._ready(resumed, resume))
        for subscription, result in zip(self._subscriptions, resumed, strict=True):
            begin(self._services.fanout, subscription, result)
        self._services.slow_consumers.replay(self, self._subscriptions)
        self._heartbeat_at = self._services.clock.now() + self._heartbeat_s
        self._schedule(self._services.clock.now())

    def _ready(self, resumed: Sequence[RecoveryResult], resume: Resume) -> bytes:
        """The `ready` event: which channels were recovered, and why others were not."""
        names = [subscription.channel.name for subscription in self._subscriptions]
        state = resumption.report(names, resumed, resume, self._services.metrics.resumed)
        data = ReadyData(connection_id=self.connection_id, **asdict(state))
        return encode_event(id=self.cursor, event="ready", data=_encode(data), retry_ms=self._retry_ms)

    # -- live ----------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> str:
        """The positions in all channels up to which this stream was written."""
        return format_cursor(
            [(subscription.channel.name, subscription.position) for subscription in self._subscriptions]
        )

    @property
    def rooms(self) -> list[str]:
        """The rooms that this stream follows."""
        names = (subscription.channel.name for subscription in self._subscriptions)
        return [name.removeprefix(ROOM_PREFIX) for name in names if name.startswith(ROOM_PREFIX)]

    @property
    @override
    def full(self) -> bool:
        return self.writer.full

    @property
    @override
    def busy(self) -> bool:
        return self.writer.busy

    @property
    @override
    def waiting_bytes(self) -> int:
        return self.writer.waiting_bytes

    @override
    def batch_writer(self, subscription: Subscription) -> Write:
        return partial(self._write, subscription)

    def _write(self, subscription: Subscription, batch: EventBatch) -> None:
        if self._moved is not subscription:
            others = [other for other in self._subscriptions if other is not subscription]
            rest = format_cursor([(other.channel.name, other.position) for other in others])
            self._suffix = f",{rest}".encode() if rest else b""
            self._moved = subscription
        subscription.position = batch.position
        self.writer.write_events(batch, self._suffix)

    @override
    def follows(self, channel: str) -> bool:
        return any(subscription.channel.name == channel for subscription in self._subscriptions)

    @override
    def tell(self, data: bytes) -> bool:
        if self._closing or self._gone or not self._begun or self.writer.full:
            return False
        self.writer.write(encode_event(event=DIRECT, data=data))  # no id: the cursor stays where it is
        return True

    def _schedule(self, now: float) -> None:
        expiry = now + self.principal.expires_at + self._expiry_grace_s - self._services.clock.wall()
        self._services.wheel.schedule(self, min(self._heartbeat_at, expiry))

    def on_timer(self, now: float) -> None:
        """Send a heartbeat, or end a stream whose token has expired."""
        if self._services.clock.wall() >= self.principal.expires_at + self._expiry_grace_s:
            self.fail(ErrorCode.INVALID_TOKEN)
            return
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat_s
            if not self.writer.busy:
                beat = encode_event(id=self.cursor, event="heartbeat", data=b'{"status":"alive"}')
                self.writer.write(beat)
        self._schedule(now)

    def refresh(self, principal: Principal) -> bool:
        """Go on with the rights of a new token; return False when they are not enough."""
        if principal.user_id != self.user_id or not all(map(principal.can_join, self.rooms)):
            return False
        self.principal = principal
        self._schedule(self._services.clock.now())
        return True

    def fail(self, code: ErrorCode) -> None:
        """Send an `error` event, and end the stream."""
        data = _encode({"code": code, "message": ERROR_TEXT[code]})
        self.writer.write(encode_event(event="error", data=data))
        self.writer.end()

    # -- closing -------------------------------------------------------------------------------------------

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._services.hub.closing(self, code, reason)
        if code is CloseCode.KICKED and reason == KICKED:
            self._services.hub.remember_kick(self.user_id, now=self._services.clock.now())
        send_closing(self.writer, self.cursor if self._begun else None, code, reason, retry_after_ms)

    @override
    def abort(self) -> None:
        self.writer.abort()

    # -- called by the transport ---------------------------------------------------------------------------

    def set_busy(self, *, on: bool) -> None:
        """Let replays wait while the transport holds much; go on when it has drained."""
        if self._gone:
            return
        if on:
            self._services.slow_consumers.busy(self, self._subscriptions)
        else:
            self._services.slow_consumers.drained(self, self._subscriptions)

    def set_full(self) -> None:
        """Stop live delivery: the transport holds more than its budget."""
        if not self._gone:
            self._services.slow_consumers.stall(self, self._subscriptions)

    def lost(self) -> None:
        """End the stream, whose transport is closed."""
        if self._gone:
            return
        self._gone = True
        self._services.wheel.cancel(self)
        for subscription in self._subscriptions:
            self._services.fanout.close(subscription)
        self._services.slow_consumers.forget(self, self._subscriptions)
        self._subscriptions, self._moved = [], None  # each of them has this stream: that was a cycle
        self._services.hub.remove(self)
