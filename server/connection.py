"""One WebSocket connection: does what its session decides. Both transports drive this same class.

Commands of one connection take effect in their order: while one waits (for the log, for a key), what comes
after it is kept, and the transport stops reading when that gets long. Publishes do not wait for each other,
up to a limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from server.auth import Authenticator, InvalidTokenError
from server.broker import Broker, BrokerUnavailableError, Published
from server.channel import Member, State
from server.clock import Clock
from server.fanout import Fanout, write_items
from server.hub import Hub
from server.metrics import Metrics
from server.protocol.codes import ERROR_TEXT, CloseCode, ErrorCode, GapReason
from server.protocol.decisions import (
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
from server.protocol.messages import (
    Ack,
    AckData,
    Closing,
    ClosingData,
    Error,
    ErrorData,
    RoomData,
    RoomJoined,
    RoomJoinedData,
    RoomLeft,
    ServerMessage,
    encode,
    user_id_to_wire,
)
from server.protocol.position import BROADCAST, ROOM_PREFIX, USER_PREFIX
from server.protocol.publication import NEW_MESSAGE, chat_data, idempotency_key
from server.protocol.session import Session
from server.resume import Resumed, Want, catch_up, read_missed
from server.rooms import Rooms
from server.wheel import Wheel
from server.wire import Format

MAX_BACKLOG = 64  # messages kept behind one that waits, before reading stops
CLOSE_TIMEOUT_S = 5.0  # for the peer's answer to a close frame

_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """The sending side of a WebSocket transport. Nothing here blocks or raises."""

    format: Format

    @property
    def full(self) -> bool:
        """Whether more is waiting to be written than the budget allows."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """How much is waiting to be written."""
        ...

    def send(self, text: bytes) -> None:
        """Send one message, some time in this loop turn."""
        ...

    def write(self, batch: Any) -> None:  # noqa: ANN401 - by `format`
        """Send one batch of `format` now."""
        ...

    def flush(self) -> None:
        """Send now what `send` was given, so that a `write` comes behind it."""
        ...

    def ping(self) -> None:
        """Send an RFC 6455 ping."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and wait for the peer's; nothing is sent after it."""
        ...

    def abort(self) -> None:
        """Drop the transport, and what it holds."""
        ...

    def set_reading(self, *, on: bool) -> None:
        """Stop or go on reading."""
        ...


class ConnectionServices(Protocol):
    """What a connection needs of its server."""

    hub: Hub
    metrics: Metrics
    rooms: Rooms
    fanout: Fanout
    broker: Broker
    authenticator: Authenticator
    wheel: Wheel
    clock: Clock
    max_replay: int
    max_outstanding: int


class Connection:
    """One WebSocket connection, as fan-out (`Sink`), the hub (`Client`) and the wheel (`Due`) see it."""

    transport = "websocket"
    __slots__ = (
        "_backlog", "_busy", "_catching_up", "_closing", "_gone", "_members", "_outlet", "_outstanding",
        "_reading", "_services", "_session", "address", "connection_id", "format", "name", "slot", "user_id",
    )  # fmt: skip

    def __init__(
        self,
        services: ConnectionServices,
        session: Session,
        outlet: Outlet,
        *,
        connection_id: str,
        user_id: str,
        name: str,
        address: str,
    ) -> None:
        self._services = services
        self._session = session
        self._outlet = outlet
        self.format = outlet.format
        self.connection_id = connection_id
        self.user_id = user_id
        self.name = name
        self.address = address
        self.slot = 0
        self._members: dict[str, Member] = {}  # by channel
        self._backlog: deque[str | bytes] = deque()
        self._busy = False  # a command waits
        self._outstanding = 0  # publishes that the log has not answered
        self._reading = True
        self._catching_up = False
        self._closing = False  # a close frame was sent
        self._gone = False

    # -- what the transport tells --------------------------------------------------------------------------

    def open(self, *, with_events: bool) -> None:
        """The handshake is done: greet. `with_events`: personal and broadcast events are wanted."""
        self._services.hub.add(self)
        self._follow(self._session.opening(self._services.clock.wall()))
        if with_events:
            self._busy = True
            self._services.hub.spawn(self._wait(self._open_events()))
        self._schedule()

    def text(self, text: str | bytes) -> None:
        """A text message has come."""
        if self._busy:
            self._session.heard()
            self._keep(text)
        elif not self._closing:
            clock = self._services.clock
            self._follow(self._session.receive(text, clock.now(), clock.wall()))

    def binary(self) -> None:
        """A binary message has come."""
        if not self._closing:
            self._follow(self._session.receive_binary(self._services.clock.wall()))

    def pong(self) -> None:
        """A control frame has come: a sign of life."""
        self._session.heard()

    def lost(self) -> None:
        """The transport is gone: leave everything, but let the user come back within the grace period."""
        if self._gone:
            return
        self._gone = self._closing = True
        self._services.wheel.remove(self)
        self._leave_all()
        self._services.hub.remove(self)

    def _leave_all(self) -> None:
        self._backlog.clear()
        for channel, member in self._members.items():
            if channel.startswith(ROOM_PREFIX):
                self._services.rooms.lose(channel.removeprefix(ROOM_PREFIX), self.user_id, member)
            else:
                self._services.fanout.close(member)
        self._members.clear()

    def set_writable(self, *, on: bool) -> None:
        """The transport holds more than the budget, or has drained."""
        if self._gone:
            return
        if not on:
            self._services.hub.mark_slow(self, self._services.clock.now())
            self._services.fanout.stall(self._members.values())
        elif not self._catching_up:
            self._catching_up = True
            self._services.hub.spawn(self._catch_up())

    # -- what others ask -----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """See Sink."""
        return self._outlet.full

    @property
    def waiting_bytes(self) -> int:
        """See Client."""
        return self._outlet.waiting_bytes

    def writer(self, member: Member) -> Callable[[Any], None]:  # noqa: ARG002 - the interface of Sink
        """See Sink."""
        return self._outlet.write

    def due(self, now: float) -> None:
        """See Due: heartbeats and expiry, or the end of waiting for the peer's close frame."""
        if self._closing:
            self._outlet.abort()
            return
        self._follow(self._session.tick(now, self._services.clock.wall()))
        self._schedule()

    def _schedule(self) -> None:
        if not self._closing:
            clock = self._services.clock
            self._services.wheel.put(self, self._session.due(clock.now(), clock.wall()))

    def shut_down(self, code: CloseCode, reason: str, retry_after_ms: int | None) -> None:
        """See Client."""
        if self._closing:
            return
        self._closing = True
        self._services.hub.closing(self, code, reason)
        self._leave_all()  # nothing is sent behind a close frame
        if self._outlet.full:  # which would wait behind what is not read
            self._outlet.abort()
            return
        if retry_after_ms is not None:
            data = ClosingData(code=code, reason=reason, retry_after_ms=retry_after_ms)
            self._send(Closing(data=data, timestamp=self._services.clock.timestamp()))
        self._outlet.flush()
        self._outlet.close(code, reason)
        self._services.wheel.put(self, self._services.clock.now() + CLOSE_TIMEOUT_S)

    def abort(self) -> None:
        """See Client."""
        self._closing = True
        self._outlet.abort()

    # -- decisions -----------------------------------------------------------------------------------------

    def _follow(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            _ACTIONS[type(decision)](self, decision)

    def _send(self, message: ServerMessage) -> None:
        self._outlet.send(encode(message))

    def _refuse(self, code: ErrorCode, message_id: str | None) -> None:
        data = ErrorData(code=code, message=ERROR_TEXT[code])
        self._send(Error(data=data, id=message_id, timestamp=self._services.clock.timestamp()))
        self._services.metrics.refused_messages[code] += 1

    def _reply(self, decision: Reply) -> None:
        self._outlet.send(decision.text)
        if decision.code is not None:
            self._services.metrics.refused_messages[decision.code] += 1

    def _ping(self, _decision: SendPing) -> None:
        self._outlet.ping()

    def _close(self, decision: Close) -> None:
        self.shut_down(decision.code, decision.reason, decision.retry_after_ms)

    # -- commands that may have to wait --------------------------------------------------------------------

    def _keep(self, text: str | bytes) -> None:
        self._backlog.append(text)
        self._update_reading()

    def _update_reading(self) -> None:
        wanted = len(self._backlog) < MAX_BACKLOG and self._outstanding < self._services.max_outstanding
        if wanted != self._reading:
            self._reading = wanted
            self._outlet.set_reading(on=wanted)

    def _start(self, command: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        self._services.hub.spawn(self._wait(command))

    async def _wait(self, command: Coroutine[Any, Any, None]) -> None:
        """Run a command, and then what came after it."""
        try:
            await command
        except Exception:  # noqa: BLE001 - whatever it was, the client gets a close code
            _log.exception("a command of %s failed", self.connection_id)
            self.shut_down(CloseCode.INTERNAL, ErrorCode.INTERNAL, None)
        finally:
            self._busy = False
            while self._backlog and not self._busy and not self._closing:
                self.text(self._backlog.popleft())
            self._update_reading()

    async def _join(self, decision: Join) -> None:
        services = self._services
        channel = ROOM_PREFIX + decision.room
        member = services.fanout.open(channel, self)
        limit = decision.history if decision.since is None else services.max_replay
        try:
            want = Want(member.channel, decision.since, 0 if decision.since_invalid else limit)
            resumed = (await read_missed(services.fanout, services.broker.history, [want]))[0]
        except BrokerUnavailableError:
            services.fanout.close(member)
            self._refuse(ErrorCode.UNAVAILABLE, decision.id)
        else:
            if self._closing:
                services.fanout.close(member)
            else:
                self._enter(decision, channel, member, resumed)
        finally:
            services.fanout.release(member.channel)

    def _enter(self, decision: Join, channel: str, member: Member, resumed: Resumed) -> None:
        rooms = self._services.rooms
        before = self._members.get(channel)
        self._members[channel] = member
        rooms.enter(decision.room, self.user_id, self.name, member)
        if before is not None:
            rooms.leave(decision.room, self.user_id, before)
        self._session.joined(decision.room)
        members, count = rooms.members(decision.room)
        failure = GapReason.INVALID if decision.since_invalid else resumed.failure
        if decision.since is not None or decision.since_invalid:
            self._services.metrics.resumed(failure)
        data = RoomJoinedData(
            room=decision.room,
            position=str(resumed.top),
            replayed=len(resumed.publications),
            members=members,
            member_count=count,
            recovered=failure is None if decision.since is not None or decision.since_invalid else None,
            reason=failure,
        )
        self._send(RoomJoined(data=data, id=decision.id, timestamp=self._services.clock.timestamp()))
        self._outlet.flush()
        write_items(member, resumed.publications)
        self._services.fanout.go_live(member, resumed.top)

    async def _open_events(self) -> None:
        """Follow the personal and the broadcast channel from now on."""
        services = self._services
        for channel in (USER_PREFIX + self.user_id, BROADCAST):
            member = services.fanout.open(channel, self)
            try:
                want = Want(member.channel, None, 0)
                resumed = (await read_missed(services.fanout, services.broker.history, [want]))[0]
                if self._closing:
                    services.fanout.close(member)
                else:
                    self._members[channel] = member
                    services.fanout.go_live(member, resumed.top)
            except BrokerUnavailableError:
                services.fanout.close(member)
                self.shut_down(CloseCode.TRY_AGAIN_LATER, ErrorCode.UNAVAILABLE, 1_000)
            finally:
                services.fanout.release(member.channel)

    async def _check_token(self, decision: CheckToken) -> None:
        clock = self._services.clock
        try:
            principal = await self._services.authenticator.verify(decision.token)
        except InvalidTokenError:
            self._follow(self._session.refresh_failed(decision.id, clock.wall()))
        else:
            self._follow(self._session.refreshed(principal, decision.id, clock.wall()))
            self._schedule()

    # -- commands that do not ------------------------------------------------------------------------------

    def _leave(self, decision: Leave) -> None:
        member = self._members.pop(ROOM_PREFIX + decision.room, None)
        if member is not None:
            self._services.rooms.leave(decision.room, self.user_id, member)
        data = RoomData(room=decision.room)
        self._send(RoomLeft(data=data, id=decision.id, timestamp=self._services.clock.timestamp()))

    def _set_typing(self, decision: SetTyping) -> None:
        self._services.rooms.set_typing(decision.room, self.user_id, self.name, is_typing=decision.is_typing)

    def _publish(self, decision: Publish) -> None:
        services = self._services
        data = chat_data(
            room=decision.room,
            content=decision.content,
            sender_id=user_id_to_wire(self.user_id),
            sender_name=self.name,
            timestamp=services.clock.timestamp(),
            id=decision.id,
        )
        future = services.broker.publish(
            ROOM_PREFIX + decision.room,
            NEW_MESSAGE,
            data,
            key=None if decision.id is None else idempotency_key(self.user_id, decision.id),
            time_ms=services.clock.wall_ms(),
        )
        if future.done():
            self._published(decision, future)
        else:
            self._outstanding += 1
            services.metrics.outstanding += 1
            self._update_reading()
            future.add_done_callback(partial(self._published_later, decision, services.clock.now()))

    def _published_later(self, decision: Publish, since: float, future: asyncio.Future[Published]) -> None:
        self._outstanding -= 1
        self._services.metrics.outstanding -= 1
        self._services.metrics.publish_seconds.observe(self._services.clock.now() - since)
        self._update_reading()
        self._published(decision, future)

    def _published(self, decision: Publish, future: asyncio.Future[Published]) -> None:
        self._services.metrics.count(future)
        if self._gone or future.cancelled():
            return
        if future.exception() is not None:
            self._refuse(ErrorCode.UNAVAILABLE, decision.id)
        elif decision.id is not None:
            (epoch, offset), duplicate = future.result()
            data = AckData(room=decision.room, offset=offset, epoch=epoch, duplicate=duplicate)
            self._send(Ack(data=data, id=decision.id, timestamp=self._services.clock.timestamp()))

    # -- slow ----------------------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        services = self._services
        try:
            for member in list(self._members.values()):
                if member.state is State.BEHIND:
                    await catch_up(services.fanout, services.broker.history, member)
        except BrokerUnavailableError:
            return  # the deadline for slow clients is running; one that is cut resumes
        finally:
            self._catching_up = False
        if all(member.state in {State.FRESH, State.LIVE} for member in self._members.values()):
            services.hub.mark_caught_up(self)


_ACTIONS: dict[type, Callable[[Connection, Any], None]] = {
    Publish: Connection._publish,  # noqa: SLF001
    Reply: Connection._reply,  # noqa: SLF001
    SendPing: Connection._ping,  # noqa: SLF001 - the table of this class's own actions
    Close: Connection._close,  # noqa: SLF001
    Join: lambda connection, decision: connection._start(connection._join(decision)),  # noqa: SLF001
    Leave: Connection._leave,  # noqa: SLF001
    SetTyping: Connection._set_typing,  # noqa: SLF001
    CheckToken: lambda connection, decision: connection._start(connection._check_token(decision)),  # noqa: SLF001
}
