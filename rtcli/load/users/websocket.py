"""A user over WebSocket: the rooms it is in, what it sends, and what it makes of what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rtcli.load.adapters import base
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Delivery, Note
from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.audit.token import LENGTH, MARK
from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import LostError, StepError
from rtcli.load.net.websocket import NO_MEMBERSHIP
from rtcli.load.scenario.model import Role
from rtcli.load.users.frame_observers import FrameObserver
from rtcli.load.users.pending import Pending, PendingReplies
from rtcli.load.users.transport import Message
from rtcli.load.users.websocket_link import WsLink
from rtcli.protocol.position import Position

_NOTED = 400  # bytes of a frame that are kept for evidence
UNCONFIRMED_US = 1_000_000  # how long a join or leave may take in a protocol that does not confirm it
_MAX_DIRECT = 8


class WsUser(WsLink):
    """One user. `adapter` is shared by all of its kind."""

    def __init__(
        self, worker: WorkerContext, role: Role, index: int, number: int, adapter: base.WsAdapter
    ) -> None:
        super().__init__(worker, role, index, number, adapter)
        self._logs: dict[tuple[str, bool], SenderLog] = {}
        self._pending = PendingReplies()
        self._count = 0

    def watch(self, watcher: FrameObserver) -> None:
        """See User: the connection must not account for anything itself."""
        super().watch(watcher)
        self._follow(None)

    def on_lost(self, now: int) -> None:
        """See User."""
        for log in self._logs.values():
            log.ended = now
        self._logs.clear()

    def forget(self) -> None:
        """See User."""
        self._pending.forget()
        super().forget()

    # -- rooms ---------------------------------------------------------------------------------------------

    async def join(self, room: str, history: int, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Enter a room; raises LostError, StepError, TimeoutError."""
        worker = self.worker
        if room in self.subscriber.memberships:
            return
        member = worker.audit.join(
            self.subscriber,
            room,
            worker.now(),
            counts=self.recorders.deliveries(room, websocket=True),
            history=history > 0,
        )
        try:
            await self._enter(room, None, history, timeout)
        except (StepError, TimeoutError):
            worker.audit.given_up(self.subscriber, member, worker.now())
            raise

    async def rejoin(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User."""
        waiting = []
        for room, member in list(self.subscriber.memberships.items()):
            place = member.cursor.position if member.cursor.key > member.start_key else self.places.get(room)
            waiting.append(self._enter(room, place if self.resumes else None, 0, timeout))
        await asyncio.gather(*waiting)

    async def _enter(self, room: str, since: Position | None, history: int, timeout: float) -> None:  # noqa: ASYNC109
        identity = self._next_id()
        frame = self.adapter.join(room, since, history, identity, self.scope)
        if frame is not None and self.adapter.confirms:
            await self._request(room, identity, frame, timeout)
            return
        if frame is not None:
            self.write(frame)
        self.worker.timers.call_at(
            self.worker.now() + UNCONFIRMED_US,
            lambda now: self.is_back(base.Joined(room, None, None), now),
        )

    async def leave(self, room: str, timeout: float) -> None:  # noqa: ASYNC109 - of the answer
        """Leave a room; raises LostError, StepError, TimeoutError."""
        member = self.subscriber.memberships.get(room)
        if member is None:
            return
        self.worker.audit.leaving(member, self.worker.now())
        identity = self._next_id()
        frame = self.adapter.leave(room, identity, self.scope)
        if frame is not None and self.adapter.confirms_leaves:
            await self._request(room, identity, frame, timeout)
            return
        if frame is not None:
            self.write(frame)
        self.worker.timers.call_at(
            self.worker.now() + UNCONFIRMED_US, lambda now: self._on_left(base.Left(room), now)
        )

    async def _request(self, room: str, identity: str, frame: bytes, timeout: float) -> None:  # noqa: ASYNC109
        """Ask for something that is confirmed by the room's name or refused by the request's id."""
        if self.connection is None:
            raise LostError
        self.subscriber.notes.append(Note(self.worker.now(), "out", frame[:_NOTED]))
        self.write(frame)
        await self._pending.confirmation(room, identity, timeout)

    def _next_id(self) -> str:
        self._count += 1
        return f"q{self._count}"

    # -- sending -------------------------------------------------------------------------------------------

    def send(self, message: Message) -> bool:
        """See Transport."""
        worker, room, intended = self.worker, message.room, message.intended
        member = self.subscriber.memberships.get(room)
        outside = self.adapter.confirms and member is not None and not member.is_in
        if outside or not self.connected:
            return False
        now = worker.now()
        ack = message.ack and self.adapter.acks
        self._count += 1
        log, number, text = None, self._count, message.text
        if message.audit:
            log = self._log(room, wants_acks=ack)
            number, token = worker.audit.send(log, intended, now)
            text = f"{text} {token.decode()}" if text else token.decode()
        if message.size is not None and len(text) < message.size:
            text = "." * (message.size - len(text) - 1) + " " + text
        identity = ""
        if ack:
            identity = f"{worker.spec.run_word}-{log.number if log else self.id}-{number}"
            pending = Pending(log, number, intended, message.label, message.done)
            self._pending.add(identity, pending)
        self.write(self.adapter.send(room, text, identity, self.scope))
        self.recorders.get("schedule_lag").record(worker.bin_key(intended), now - intended)
        return True

    def _log(self, room: str, *, wants_acks: bool) -> SenderLog:
        log = self._logs.get((room, wants_acks))
        if log is None:
            log = self.worker.audit.open_log(self.name, room, wants_acks=wants_acks)
            self._logs[room, wants_acks] = log
        return log

    def typing(self, room: str, *, is_typing: bool) -> None:
        """Say that the user is typing."""
        frame = self.adapter.typing(room, is_typing=is_typing)
        if frame is not None:
            self.write(frame)

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
            self.connection.member = NO_MEMBERSHIP if idle or member is None else member

    def _on_data(self, event: base.Data, data: bytes, now: int) -> None:
        at = data.find(MARK)
        if at < 0:
            return
        only = data.find(MARK, at + LENGTH) < 0
        while at >= 0:
            token = data[at : at + LENGTH]
            frame = data if only else None
            delivery = Delivery(self.subscriber, event.room, token, event.position, now, data, frame)
            self._follow(self.worker.audit.receive(delivery))
            at = data.find(MARK, at + LENGTH)

    def _on_acked(self, event: base.Acked, now: int) -> None:
        pending = self._pending.acknowledge(event.id)
        if pending is None:
            return
        worker = self.worker
        if pending.log is not None:
            worker.audit.acknowledge(pending.log, pending.number, now, event.position)
        recorder = self.recorders.get("send_ack", step=pending.label)
        recorder.record(worker.bin_key(pending.intended), now - pending.intended)

    def _on_refused(self, event: base.Refused, now: int) -> None:  # noqa: ARG002 - one signature
        self.worker.count(self.role, "errors", code=event.code)
        pending = self._pending.refuse(event.id or "", event.code)
        if pending is not None and pending.log is not None:
            self.worker.audit.fail(pending.log, pending.number)

    def _on_joined(self, event: base.Joined, now: int) -> None:
        self.is_back(event, now)
        self._follow(self.subscriber.memberships.get(event.room))
        self._pending.confirm(event.room)

    def _on_left(self, event: base.Left, now: int) -> None:
        member = self.subscriber.memberships.get(event.room)
        if member is not None and member.leaving is not None:
            self.worker.audit.left(self.subscriber, member, now)
            self._follow(None)
        self._pending.confirm(event.room)

    def _on_gap(self, event: base.GapTold, now: int) -> None:  # noqa: ARG002 - one signature
        member = self.subscriber.memberships.get(event.room)
        if member is not None and event.after is not None and event.until is not None:
            self.worker.audit.gap_declared(member, event.after, event.until)

    def _on_hello(self, event: base.Hello, now: int) -> None:  # noqa: ARG002 - one signature
        self.subscriber.connection = event.connection
        self.greeted()

    def _on_answer(self, event: base.Answer, now: int) -> None:  # noqa: ARG002 - one signature
        self.write(event.frame)

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
