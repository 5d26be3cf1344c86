"""One WebSocket connection: does what its session decides. Both transports drive this same class.

Commands of one connection take effect in their order: while one waits (for the log, for a key), what comes
after it is kept, and the transport stops reading when that gets long. Publishes do not wait for each other,
up to a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from rtcli.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode
from rtcli.protocol.messages import (
    Closing,
    ClosingData,
    Error,
    ErrorData,
    ServerMessage,
    encode,
    user_id_to_wire,
)
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.connections import commands
from rtcli_server.connections.websocket_writer import WebSocketServices, WebSocketWriter
from rtcli_server.delivery.channel import Subscription
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
)
from rtcli_server.session.session import Session

MAX_BACKLOG = 64  # messages kept behind one that waits, before reading stops
CLOSE_TIMEOUT_S = 5.0  # for the peer's answer to a close frame

_log = logging.getLogger(__name__)


class Connection:
    """One WebSocket connection: a `Subscriber` of fan-out, a `Client` of the hub, a `Timer` of the wheel."""

    transport = "websocket"
    __slots__ = (
        "_backlog", "_busy", "_reading", "address", "closing", "connection_id", "format", "gone", "name",
        "outstanding", "services", "session", "slot", "subscriptions", "user_id", "wire_id", "writer",
    )  # fmt: skip

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
        self._backlog: list[str | bytes] = []  # what came while a command waits
        self._busy = False  # a command waits
        self.outstanding = 0  # publishes that the log has not answered
        self._reading = True
        self.closing = False  # a close frame was sent
        self.gone = False

    # -- what the transport tells --------------------------------------------------------------------------

    def open(self, *, with_events: bool) -> None:
        """The handshake is done: greet. `with_events`: personal and broadcast events are wanted."""
        self.services.hub.add(self)
        self.follow(self.session.opening(self.services.clock.wall()))
        if with_events:
            self.start(commands.follow_events(self))
        self.schedule()

    def text(self, text: str | bytes) -> None:
        """A text message has come."""
        if self._busy:
            self.session.heard()
            self._backlog.append(text)
            self.update_reading()
        elif not self.closing:
            clock = self.services.clock
            self.follow(self.session.receive(text, clock.now(), clock.wall()))

    def binary(self) -> None:
        """A binary message has come."""
        if not self.closing:
            self.follow(self.session.receive_binary(self.services.clock.wall()))

    def pong(self) -> None:
        """A control frame has come: a sign of life."""
        self.session.heard()

    def lost(self) -> None:
        """The transport is gone: leave everything, but let the user come back within the grace period."""
        if self.gone:
            return
        self.gone = self.closing = True
        self.services.wheel.cancel(self)
        self._leave_all()
        self.services.slow_consumers.forget(self)
        self.services.hub.remove(self)

    def _leave_all(self) -> None:
        self._backlog.clear()
        for channel, subscription in self.subscriptions.items():
            if channel.startswith(ROOM_PREFIX):
                self.services.rooms.lose(channel.removeprefix(ROOM_PREFIX), self.user_id, subscription)
            else:
                self.services.fanout.close(subscription)
        self.subscriptions.clear()

    def set_writable(self, *, on: bool) -> None:
        """The transport holds more than the budget, or has drained."""
        if self.gone:
            return
        self.update_reading()
        self.services.slow_consumers.set_writable(self, self.subscriptions.values(), on=on)

    # -- what others ask -----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """See Subscriber."""
        return self.writer.full

    @property
    def waiting_bytes(self) -> int:
        """See Client."""
        return self.writer.waiting_bytes

    def batch_writer(self, subscription: Subscription) -> Callable[[Any], None]:  # noqa: ARG002 - the interface of Subscriber
        """See Subscriber."""
        return self.writer.write

    def on_timer(self, now: float) -> None:
        """See Timer: heartbeats and expiry, or the end of waiting for the peer's close frame."""
        if self.closing:
            self.writer.abort()
            return
        self.follow(self.session.tick(now, self.services.clock.wall()))
        self.schedule()

    def schedule(self) -> None:
        """Have `on_timer` called when the session has something to do."""
        if not self.closing:
            clock = self.services.clock
            self.services.wheel.schedule(self, self.session.due(clock.now(), clock.wall()))

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """See Client."""
        if self.closing:
            return
        self.closing = True
        self.services.hub.closing(self, code, reason)
        self._leave_all()  # nothing is sent behind a close frame
        if self.writer.full:  # which would wait behind what is not read
            self.writer.abort()
            return
        if retry_after_ms is not None:
            data = ClosingData(code=code, reason=reason, retry_after_ms=retry_after_ms)
            self.send(Closing(data=data, timestamp=self.services.clock.timestamp()))
        self.writer.flush()
        self.writer.close(code, reason)
        self.services.wheel.schedule(self, self.services.clock.now() + CLOSE_TIMEOUT_S)

    def abort(self) -> None:
        """See Client."""
        self.closing = True
        self.writer.abort()

    # -- decisions -----------------------------------------------------------------------------------------

    def follow(self, decisions: Sequence[Decision]) -> None:
        """Do what the session decided, in order."""
        for decision in decisions:
            _ACTIONS[type(decision)](self, decision)

    def send(self, message: ServerMessage) -> None:
        """Send one message in this loop turn."""
        self.writer.send(encode(message))

    def refuse(self, code: ErrorCode, message_id: str | None) -> None:
        """Say that a message was not followed."""
        data = ErrorData(code=code, message=ERROR_TEXT[code])
        self.send(Error(data=data, id=message_id, timestamp=self.services.clock.timestamp()))
        self.services.metrics.refused_messages[code] += 1

    def reply(self, decision: Reply) -> None:
        """Send what the session wrote itself."""
        self.writer.send(decision.text)
        if decision.code is not None:
            self.services.metrics.refused_messages[decision.code] += 1

    # -- commands that have to wait ------------------------------------------------------------------------

    def start(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command; what comes meanwhile is kept until it is done."""
        self._busy = True
        self.services.tasks.spawn(self._run(command))

    async def _run(self, command: Coroutine[Any, Any, None]) -> None:
        try:
            await command
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a close code
            _log.exception("a command failed", extra={"connection_id": self.connection_id})
            self.shut_down(CloseCode.INTERNAL, ErrorCode.INTERNAL, None)
        finally:
            self._busy = False
            while self._backlog and not self._busy and not self.closing:
                self.text(self._backlog.pop(0))
            self.update_reading()

    def update_reading(self) -> None:
        """Stop reading when too much waits, here or in the log; go on when it does not any more.

        Nor is more read of a client that does not read: what it asks for would pile up as answers.
        """
        wanted = (
            len(self._backlog) < MAX_BACKLOG
            and self.outstanding < self.services.max_outstanding
            and not self.writer.full
        )
        if wanted != self._reading:
            self._reading = wanted
            self.writer.set_reading(on=wanted)


_ACTIONS: dict[type[Decision], Callable[[Connection, Any], None]] = {
    Publish: commands.publish,
    Reply: Connection.reply,
    Join: lambda connection, decision: connection.start(commands.join(connection, decision)),
    Leave: commands.leave,
    SetTyping: commands.set_typing,
    CheckToken: lambda connection, decision: connection.start(commands.check_token(connection, decision)),
    SendPing: lambda connection, _decision: connection.writer.ping(),
    Close: lambda connection, close: connection.shut_down(close.code, close.reason, close.retry_after_ms),
}
