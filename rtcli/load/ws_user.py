"""A user over WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rtcli.load.adapters import base
from rtcli.load.audit.ledger import Stream
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Delivery, Note
from rtcli.load.audit.room import Place
from rtcli.load.crowd_ws import NOBODY, WsConnection, WsRefusedError, open_ws
from rtcli.load.engine import Engine
from rtcli.load.scenario import Role
from rtcli.load.scenario_steps import Kill
from rtcli.load.token import LENGTH, MARK
from rtcli.load.user import ConnectError, LostError, StepError, User
from rtcli.load.watch import Sees

_NOTED = 400  # bytes of a frame that are kept for evidence
UNCONFIRMED_US = 1_000_000  # how long a join or leave may take in a protocol that does not confirm it
_MAX_DIRECT = 8


@dataclass(slots=True)
class Pending:
    """A message that waits for its acknowledgement."""

    stream: Stream | None
    number: int
    intended: int
    label: str
    done: asyncio.Future[None] | None


class WsUser(User):
    """One user. `adapter` is shared by all of its kind."""

    def __init__(self, engine: Engine, role: Role, index: int, number: int, adapter: base.WsAdapter) -> None:
        super().__init__(engine, role, index, number)
        self.adapter = adapter
        self.resumes = adapter.resumes
        self.connection: WsConnection | None = None
        self._streams: dict[tuple[str, bool], Stream] = {}
        self._pending: dict[str, Pending] = {}
        self._requests: dict[str, asyncio.Future[None]] = {}  # joins and leaves by id
        self._by_room: dict[str, str] = {}
        self._greeting: asyncio.Future[None] | None = None
        self._count = 0
        self._bytes = self._frames = self._counted = 0  # of this connection, taken over already

    def watch(self, watcher: Sees) -> None:
        """See User: the connection must not account for anything itself."""
        super().watch(watcher)
        self._follow(None)

    # -- opening and closing -------------------------------------------------------------------------------

    async def _open(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User."""
        engine, adapter = self.engine, self.adapter
        self._greeting = asyncio.get_running_loop().create_future()
        try:
            async with engine.connecting:
                started = engine.now()
                connection = await open_ws(
                    self,
                    adapter.url(engine.spec.endpoint, self.opening),
                    sources=engine.sources,
                    headers=adapter.headers(self.opening),
                    subprotocols=adapter.subprotocols,
                    read=self.role.read,
                    tls=engine.tls,
                    timeout=timeout,
                )
                if connection.receiver is None:  # closed before this task had its turn: see `open`
                    return
                self.connection = connection
                self._bytes = self._frames = 0
                self._counted = self.subscriber.counted
                self.opened("ws_connecting", started)
                self.engine.count(self.role, "ws_sessions")
                self.connected = True
                for frame in adapter.hello(self.scope):
                    self._write(frame)
                if adapter.greets:
                    async with asyncio.timeout(timeout):
                        await self._greeting
        except (OSError, TimeoutError, WsRefusedError, LostError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        status = error.status if isinstance(error, WsRefusedError) else 0
        code = str(status) if status else type(error).__name__.removesuffix("Error").lower()
        self.engine.count(self.role, "connect_failed", code=code)
        if self.connection is not None:
            self.drop(None)
            self.lose(self.engine.now())
        again = status not in {400, 401, 403, 404}
        raise ConnectError(code, str(error) or "no answer", again=again) from error

    def drop(self, how: Kill | None) -> None:
        """See User."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._ended(connection)
            connection.kill(how or Kill.RST)

    def say_goodbye(self, code: int, reason: str) -> None:
        """See User."""
        if self.connection is not None:
            self.connection.close(code, reason)

    def on_closed(self, code: int, reason: str) -> None:
        """See User."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._ended(connection)
        super().on_closed(code, reason)

    def _ended(self, connection: WsConnection) -> None:
        engine = self.engine
        now = engine.now()
        self._collect(connection)
        session = self.recorders.get("ws_session_duration")
        session.record(engine.moment(now), now - self._opened_at)

    def read_freely(self) -> None:
        """See User."""
        if self.connection is not None:
            self.connection.read_freely()

    def collect(self) -> None:
        """See User."""
        if self.connection is not None:
            self._collect(self.connection)

    def _collect(self, connection: WsConnection) -> None:
        moment = self.engine.moment(self.engine.now())
        received = connection.received
        if received > self._bytes:
            self.recorders.get("data_received").add(moment, received - self._bytes)
            self._bytes = received
        # Deliveries are counted where they are accounted for; here are the frames that were none.
        others = connection.frames - self._frames - (self.subscriber.counted - self._counted)
        self.recorders.get("ws_msgs_received").add(moment, others)
        self._frames, self._counted = connection.frames, self.subscriber.counted

    def on_lost(self, now: int) -> None:
        """See User."""
        for stream in self._streams.values():
            stream.ended = now
        self._streams.clear()

    def forget(self) -> None:
        """See User."""
        waiting = [*self._requests.values(), *(pending.done for pending in self._pending.values())]
        for future in [*waiting, self._greeting]:
            if future is not None and not future.done():
                future.set_exception(LostError())
                future.exception()  # somebody may have given up on it already
        self._requests.clear()
        self._by_room.clear()
        self._pending.clear()

    # -- rooms ---------------------------------------------------------------------------------------------

    async def join(self, room: str, history: int, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Enter a room; raises LostError, StepError, TimeoutError."""
        engine = self.engine
        if room in self.subscriber.memberships:
            return
        member = engine.audit.join(
            self.subscriber,
            room,
            engine.now(),
            counts=self.recorders.deliveries(room, websocket=True),
            history=history > 0,
        )
        try:
            await self._enter(room, None, history, timeout)
        except (StepError, TimeoutError):
            engine.audit.gone(self.subscriber, member, engine.now())
            raise

    async def rejoin(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User."""
        waiting = []
        for room, member in list(self.subscriber.memberships.items()):
            place = member.cursor.place if member.cursor.key > member.start_key else self.places.get(room)
            waiting.append(self._enter(room, place if self.resumes else None, 0, timeout))
        await asyncio.gather(*waiting)

    async def _enter(self, room: str, since: Place | None, history: int, timeout: float) -> None:  # noqa: ASYNC109
        identity = self._next_id()
        frame = self.adapter.join(room, since, history, identity, self.scope)
        if frame is not None and self.adapter.confirms:
            await self._request(room, identity, frame, timeout)
            return
        if frame is not None:
            self._write(frame)
        self.engine.metronome.at(
            self.engine.now() + UNCONFIRMED_US,
            lambda now: self.is_back(base.Joined(room, None, None), now),
        )

    async def leave(self, room: str, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Leave a room; raises LostError, StepError, TimeoutError."""
        member = self.subscriber.memberships.get(room)
        if member is None:
            return
        self.engine.audit.leaving(member, self.engine.now())
        identity = self._next_id()
        frame = self.adapter.leave(room, identity, self.scope)
        if frame is not None and self.adapter.confirms_leaves:
            await self._request(room, identity, frame, timeout)
            return
        if frame is not None:
            self._write(frame)
        self.engine.metronome.at(
            self.engine.now() + UNCONFIRMED_US, lambda now: self._on_left(base.Left(room), now)
        )

    async def _request(self, room: str, identity: str, frame: bytes, timeout: float) -> None:  # noqa: ASYNC109
        """Ask for something that is confirmed by the room's name or refused by the request's id."""
        if self.connection is None:
            raise LostError
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests[identity] = done
        self._by_room[room] = identity
        self.subscriber.notes.append(Note(self.engine.now(), "out", frame[:_NOTED]))
        self._write(frame)
        try:
            async with asyncio.timeout(timeout):
                await done
        finally:
            self._requests.pop(identity, None)

    def _next_id(self) -> str:
        self._count += 1
        return f"q{self._count}"

    def _answered(self, room: str) -> None:
        done = self._requests.get(self._by_room.pop(room, ""))
        if done is not None and not done.done():
            done.set_result(None)

    # -- sending -------------------------------------------------------------------------------------------

    def _write(self, frame: bytes) -> None:
        if self.connection is not None:
            self.connection.send(frame)
            moment = self.engine.moment(self.engine.now())
            self.recorders.get("ws_msgs_sent").add(moment)
            self.recorders.get("data_sent").add(moment, len(frame))

    def send(
        self,
        room: str,
        text: str,
        intended: int,
        *,
        label: str,
        audit: bool = True,
        ack: bool = True,
        size: int | None = None,
        done: asyncio.Future[None] | None = None,
    ) -> bool:
        """Send a message that was due at `intended`; False when there is no connection."""
        engine = self.engine
        member = self.subscriber.memberships.get(room)
        outside = self.adapter.confirms and member is not None and not member.is_in
        if outside or not self.connected:
            return False
        now = engine.now()
        ack = ack and self.adapter.acks
        self._count += 1
        stream, number = None, self._count
        if audit:
            stream = self._streams.get((room, ack))
            if stream is None:
                stream = engine.audit.stream(self.name, room, wants_acks=ack)
                self._streams[room, ack] = stream
            number, token = engine.audit.send(stream, intended, now)
            text = f"{text} {token.decode()}" if text else token.decode()
        if size is not None and len(text) < size:
            text = "." * (size - len(text) - 1) + " " + text
        identity = ""
        if ack:
            identity = f"{engine.spec.run_word}-{stream.number if stream else self.id}-{number}"
            self._pending[identity] = Pending(stream, number, intended, label, done)
        self._write(self.adapter.send(room, text, identity, self.scope))
        self.recorders.get("schedule_lag").record(engine.moment(intended), now - intended)
        return True

    def typing(self, room: str, *, is_typing: bool) -> None:
        """Say that the user is typing."""
        frame = self.adapter.typing(room, is_typing=is_typing)
        if frame is not None:
            self._write(frame)

    # -- receiving -----------------------------------------------------------------------------------------

    def on_frame(self, data: bytes, now: int) -> None:
        """See crowd_ws.Receiver."""
        if self.watchers:
            for watcher in list(self.watchers):
                watcher.see(data)
        elif self._is_expected(data, now):
            return
        event = self.adapter.parse(data)
        if isinstance(event, base.Data):
            self._on_data(event, data, now)
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            self.subscriber.notes.append(Note(now, "in", data[:_NOTED]))
            handler(self, event, now)

    def _is_expected(self, data: bytes, now: int) -> bool:
        """Look whether it is what another of the rooms expects next: then that room is the likely one now."""
        members = self.subscriber.memberships
        if not 1 < len(members) <= _MAX_DIRECT:
            return False
        for member in members.values():
            entry = member.cursor.next
            if entry is not None and entry.frame == data:
                member.take(entry, now)
                self.subscriber.counted += 1
                self._follow(member)
                return True
        return False

    def _follow(self, member: Membership | None) -> None:
        if self.connection is not None:
            idle = member is None or member.ended is not None or bool(self.watchers)
            self.connection.member = NOBODY if idle or member is None else member

    def _on_data(self, event: base.Data, data: bytes, now: int) -> None:
        at = data.find(MARK)
        if at < 0:
            return
        only = data.find(MARK, at + LENGTH) < 0
        while at >= 0:
            token = data[at : at + LENGTH]
            frame = data if only else None
            delivery = Delivery(self.subscriber, event.room, token, event.place, now, data, frame)
            self._follow(self.engine.audit.receive(delivery))
            at = data.find(MARK, at + LENGTH)

    def _on_acked(self, event: base.Acked, now: int) -> None:
        pending = self._pending.pop(event.id, None)
        if pending is None:
            return
        engine = self.engine
        if pending.stream is not None:
            engine.audit.acknowledge(pending.stream, pending.number, now, event.place)
        recorder = self.recorders.get("send_ack", step=pending.label)
        recorder.record(engine.moment(pending.intended), now - pending.intended)
        if pending.done is not None and not pending.done.done():
            pending.done.set_result(None)

    def _on_refused(self, event: base.Refused, now: int) -> None:  # noqa: ARG002 - one signature
        self.engine.count(self.role, "errors", code=event.code)
        pending = self._pending.pop(event.id or "", None)
        request = self._requests.get(event.id or "")
        if pending is not None:
            if pending.stream is not None:
                self.engine.audit.fail(pending.stream, pending.number)
            request = pending.done
        if request is not None and not request.done():
            request.set_exception(StepError(event.code, f"refused: {event.code}"))

    def _on_joined(self, event: base.Joined, now: int) -> None:
        self.is_back(event, now)
        self._follow(self.subscriber.memberships.get(event.room))
        self._answered(event.room)

    def _on_left(self, event: base.Left, now: int) -> None:
        member = self.subscriber.memberships.get(event.room)
        if member is not None and member.leaving is not None:
            self.engine.audit.left(self.subscriber, member, now)
            self._follow(None)
        self._answered(event.room)

    def _on_gap(self, event: base.GapTold, now: int) -> None:  # noqa: ARG002 - one signature
        member = self.subscriber.memberships.get(event.room)
        if member is not None and event.after is not None and event.until is not None:
            self.engine.audit.gap(member, event.after, event.until)

    def _on_hello(self, event: base.Hello, now: int) -> None:  # noqa: ARG002 - one signature
        self.subscriber.connection = event.connection
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_result(None)

    def _on_answer(self, event: base.Answer, now: int) -> None:  # noqa: ARG002 - one signature
        self._write(event.frame)

    def _on_closing(self, event: base.Closing, now: int) -> None:  # noqa: ARG002 - one signature
        self.retry_after = event.retry_after

    _handlers: ClassVar[Mapping[type, Callable[[WsUser, Any, int], None]]] = {
        base.Acked: _on_acked,
        base.Refused: _on_refused,
        base.Joined: _on_joined,
        base.Left: _on_left,
        base.GapTold: _on_gap,
        base.Hello: _on_hello,
        base.Answer: _on_answer,
        base.Closing: _on_closing,
    }
