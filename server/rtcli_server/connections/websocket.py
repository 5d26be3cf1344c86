"""One WebSocket connection: carries out what its session decides. Both transports drive this same class.

Commands of one connection take effect in their order: while one waits (for the log, for a key, for room for
its replies), the messages after it are kept, and the transport stops reading when there are many. Publishes
do not wait for each other, up to a limit.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from typing_extensions import override

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.messages import (
    Closing,
    ClosingData,
    ServerMessage,
    encode,
    user_id_to_wire,
)
from rtcli.protocol.position import ROOM_PREFIX, Position
from rtcli.protocol.publication import ws_direct
from rtcli_server.connections import commands, greeting
from rtcli_server.connections.hub import Client
from rtcli_server.connections.send_budget import memory_of
from rtcli_server.connections.websocket_writer import GONE, WebSocketServices, WebSocketWriter
from rtcli_server.delivery.channel import Subscriber, Subscription, Write
from rtcli_server.delivery.resumption import Opening
from rtcli_server.delivery.wire import Format
from rtcli_server.session.decisions import (
    CheckToken,
    Close,
    Decision,
    Join,
    Leave,
    Publish,
    Reply,
    SendPing,
    SetTyping,
    TellCursor,
)
from rtcli_server.session.session import Session
from rtcli_server.timing.containment import contained

MAX_BACKLOG = 64  # messages kept behind a command that waits, before reading stops
MAX_BACKLOG_BYTES = 65_536  # of such messages, and of publishes that the log has not answered
CLOSE_TIMEOUT_S = 5.0  # for the peer's answer to a close frame

_log = logging.getLogger(__name__)


class Connection(Subscriber, Client):
    """One WebSocket connection: a `Subscriber` of fan-out, a `Client` of the hub, a `Timer` of the wheel."""

    transport = "websocket"
    __slots__ = (
        "_backlog", "_backlog_bytes", "_command_waits", "_reading", "_waits", "address", "closing",
        "connection_id", "dormant_at", "format", "gone", "name", "outstanding", "outstanding_bytes",
        "services", "session", "slot", "subscriptions", "user_id", "wire_id", "writer",
    )  # fmt: skip
    format: Format

    def __init__(
        self,
        services: WebSocketServices,
        session: Session,
        writer: WebSocketWriter,
        *,
        connection_id: str,
        user_id: str,
        name: str,
        address: str,
    ) -> None:
        self.services = services
        self.session = session
        self.writer = writer
        self.format = writer.format
        self.connection_id = connection_id
        self.user_id = user_id
        self.wire_id = user_id_to_wire(user_id)
        self.name = name
        self.address = address
        self.slot = 0
        self.subscriptions: dict[str, Subscription] = {}  # by channel
        self.dormant_at: Position | None = None  # greeting.py has its other values
        self._backlog: deque[str | bytes] = deque()  # messages that arrived while a command waits
        self._backlog_bytes = 0
        self._command_waits = False
        self._waits = False  # a command waits, or the transport is busy
        self.outstanding = 0  # publishes that the log has not answered
        self.outstanding_bytes = 0
        self._reading = True
        self.closing = False  # a close frame was sent
        self.gone = False

    # -- called by the transport ---------------------------------------------------------------------------

    def open(self, opening: Opening) -> None:
        """Greet the client: the handshake is done, and asked for `opening`."""
        self.services.hub.add(self)
        greeting.greet(self, opening)
        self.schedule()

    def text(self, text: str | bytes) -> None:
        """Handle a text message."""
        if self._waits:
            self.session.message_waits()
            self._backlog.append(text)
            self._backlog_bytes += memory_of(text)
            self.update_reading()
        elif not self.closing:
            clock = self.services.clock
            self.follow(self.session.receive(text, clock.now(), clock.wall()))

    def binary(self) -> None:
        """Handle a binary message."""
        if not self.closing:
            self.follow(self.session.receive_binary(self.services.clock.wall()))

    def control_frame(self) -> None:
        """Record an RFC 6455 ping or pong."""
        self.session.no_message()

    def lost(self) -> None:
        """End the connection, whose transport is closed. Its user may come back within the grace period."""
        if self.gone:
            return
        self.gone = self.closing = True
        self.services.wheel.cancel(self)
        self._leave_all()
        self.services.hub.remove(self)
        self.writer = GONE

    def _leave_all(self) -> None:
        self._backlog.clear()
        self._backlog_bytes = 0
        subscriptions = dict(self.subscriptions)
        self.subscriptions.clear()
        for channel, subscription in subscriptions.items():
            with contained(_log, "leaving %s failed", channel):
                if channel.startswith(ROOM_PREFIX):
                    self.services.rooms.lose(channel.removeprefix(ROOM_PREFIX), self.user_id, subscription)
                else:
                    self.services.fanout.close(subscription)
        self.services.slow_consumers.forget(self, subscriptions.values())

    def set_busy(self, *, on: bool) -> None:
        """Let replies and replays wait while the transport holds much; go on when it has drained."""
        if self.closing:
            return
        slow_consumers, subscriptions = self.services.slow_consumers, self.subscriptions.values()
        if on:
            self._waits = True
            slow_consumers.busy(self, subscriptions)
        else:
            slow_consumers.drained(self, subscriptions)
            self._go_on()

    def set_full(self) -> None:
        """Stop live delivery: the transport holds more than its budget."""
        if not self.closing:
            self.services.slow_consumers.stall(self, self.subscriptions.values())
            self.update_reading()

    # -- called by fan-out, hub and timer wheel ------------------------------------------------------------

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
        return self.writer.write

    @property
    @override
    def told_events_to(self) -> Position | None:
        return greeting.told_events_to(self)

    @override
    def wake(self) -> None:
        greeting.wake(self)

    @override
    def follows(self, channel: str) -> bool:
        return channel in self.subscriptions or greeting.waits_for(self, channel)

    @override
    def tell(self, data: bytes) -> bool:
        if self.closing or self.writer.full or not greeting.is_greeted(self):
            return False
        self.writer.send(ws_direct(data, self.services.clock.timestamp()))
        self.writer.flush()  # now, so that it counts before another one comes
        return True

    def on_timer(self, now: float) -> None:
        """Send heartbeats, end at the token's expiry; cut off a peer that does not answer a close frame."""
        if self.closing:
            self.writer.abort()
            return
        self.follow(self.session.tick(now, self.services.clock.wall()))
        self.schedule()

    def schedule(self) -> None:
        """Schedule the next heartbeat or the end of the token, whichever is first."""
        if not self.closing:
            clock = self.services.clock
            self.services.wheel.schedule(self, self.session.due(clock.now(), clock.wall()))

    @override
    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        if self.closing:
            return
        self.closing = True
        self.services.hub.closing(self, code, reason)
        self._leave_all()  # nothing may be sent after a close frame
        if self.writer.full:  # the close frame would wait behind what the client does not read
            self.writer.abort()
            return
        if retry_after_ms is not None:
            data = ClosingData(code=code, reason=reason, retry_after_ms=retry_after_ms)
            self.send(Closing(data=data, timestamp=self.services.clock.timestamp()))
        self.writer.flush()
        self.writer.close(code, reason)
        self.services.wheel.schedule(self, self.services.clock.now() + CLOSE_TIMEOUT_S)

    @override
    def abort(self) -> None:
        self.closing = True
        self.writer.abort()

    # -- decisions -----------------------------------------------------------------------------------------

    def follow(self, decisions: Sequence[Decision]) -> None:
        """Carry out what the session decided, in order."""
        for decision in decisions:
            ACTIONS[type(decision)](self, decision)

    def send(self, message: ServerMessage) -> None:
        """Send one message, in this loop turn."""
        self.writer.send(encode(message))

    def reply(self, decision: Reply) -> None:
        """Send a message that the session has encoded."""
        self.writer.send(decision.text)
        if decision.code is not None:
            self.services.metrics.refused_messages[decision.code] += 1

    # -- commands that have to wait ------------------------------------------------------------------------

    def start(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command; messages that arrive meanwhile are kept until it is done."""
        self._command_waits = self._waits = True
        self.services.tasks.spawn(self._run(command))

    async def _run(self, command: Coroutine[Any, Any, None]) -> None:
        try:
            await command
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a close code
            _log.exception("a command failed", extra={"connection_id": self.connection_id})
            self.shut_down(CloseCode.INTERNAL, ErrorCode.INTERNAL, None)
        finally:
            self._command_waits = False
            self._go_on()

    def _go_on(self) -> None:
        """Handle the messages that were kept, until one of them has to wait."""
        self._waits = self._command_waits or self.writer.busy
        while self._backlog and not self._waits and not self.closing:
            text = self._backlog.popleft()
            self._backlog_bytes -= memory_of(text)
            self.text(text)
        self.update_reading()

    def update_reading(self) -> None:
        """Stop reading while too much waits, here or in the log.

        Reading also stops for a client that does not read, because the answers to it would pile up.
        """
        wanted = (
            len(self._backlog) < MAX_BACKLOG
            and self._backlog_bytes < MAX_BACKLOG_BYTES
            and self.outstanding < self.services.max_outstanding
            and self.outstanding_bytes < MAX_BACKLOG_BYTES
            and not self.writer.full
        )
        if wanted != self._reading:
            self._reading = wanted
            self.writer.set_reading(on=wanted)


ACTIONS: dict[type[Decision], Callable[[Connection, Any], None]] = {
    Publish: commands.publish,
    Reply: Connection.reply,
    Join: lambda connection, decision: connection.start(commands.join(connection, decision)),
    Leave: commands.leave,
    SetTyping: commands.set_typing,
    CheckToken: lambda connection, decision: connection.start(commands.check_token(connection, decision)),
    TellCursor: greeting.tell_cursor,
    SendPing: lambda connection, _decision: connection.writer.ping(),
    Close: lambda connection, close: connection.shut_down(close.code, close.reason, close.retry_after_ms),
}
