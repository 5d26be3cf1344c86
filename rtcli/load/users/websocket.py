"""A user's WebSocket: opened and lost, what is sent over it, and what is made of the frames that come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import override

from rtcli.load.adapters import interface as events
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import KEPT_BYTES, Note
from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.net.patience import patient_timeout
from rtcli.load.net.websocket import NO_MEMBERSHIP, Receiver, WebSocketConnection, open_websocket
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.context import UserContext
from rtcli.load.users.deliveries import deliveries
from rtcli.load.users.frame_observers import FrameObserver
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.pending import PendingMessage, PendingReplies, fail, resolve
from rtcli.load.users.room_requests import RoomRequests
from rtcli.load.users.transport import (
    Capabilities,
    OutgoingMessage,
    Transport,
    TransportObserver,
    UnacceptedMessage,
)

_MAX_DIRECT = 8  # rooms whose expected frames are compared before a frame is parsed


class WebSocketTransport(Transport, Receiver):
    """One user's WebSocket. `adapter` is shared by all users of the role."""

    final_statuses = frozenset({400, 401, 403, 404})

    def __init__(
        self,
        user: UserContext,
        memberships: Memberships,
        adapter: events.WsAdapter,
        observer: TransportObserver,
    ) -> None:
        self.capabilities = Capabilities(sends_on_connection=True, acks=adapter.acks)
        self._user = user
        self._worker = user.worker
        self._recorders = user.recorders
        self._acknowledged, self._unconfirmed = user.sends.acknowledged, user.sends.unconfirmed
        self._subscriber = user.subscriber
        self._memberships = memberships
        self._adapter = adapter
        self._observer = observer
        self._frame_observers: list[FrameObserver] = []
        self._connection: WebSocketConnection | None = None
        self._greeting: asyncio.Future[None] | None = None  # done when the server has let the user in
        self._pending = PendingReplies()
        self.rooms = RoomRequests(
            user, memberships, adapter, self._pending, write=self._write, on_left=self._on_left
        )
        self._logs: dict[tuple[str, bool], SenderLog] = {}  # of this connection
        self._count = 0  # of messages
        self._opened_at = 0
        self.was_let_in = False
        self._bytes = self._frames = self._counted = 0  # of this connection, recorded already

    # -- the connection ------------------------------------------------------------------------------------

    @override
    async def open(self, opening: events.Opening, timeout: float) -> None:
        worker, adapter = self._worker, self._adapter
        if opening.events and adapter.resumes:
            opening = replace(opening, last_event_id=self._user.events.cursor)
        self._greeting = asyncio.get_running_loop().create_future()
        async with worker.connecting:
            started = worker.now()
            connection = await open_websocket(
                self,
                adapter.url(worker.spec.endpoint, opening),
                sources=worker.sources,
                headers=adapter.headers(opening),
                subprotocols=adapter.subprotocols,
                read=self._user.role.read,
                tls=worker.tls,
                timeout=timeout,
            )
            if connection.receiver is None:  # closed before this task had its turn
                return
            self._on_open(connection, started)
            if adapter.greets:
                async with patient_timeout(timeout):
                    await self._greeting

    def _on_open(self, connection: WebSocketConnection, started: int) -> None:
        now = self._worker.now()
        self._connection = connection
        self._opened_at = now
        self.was_let_in = self._adapter.greets or self._adapter.confirms
        self._bytes = self._frames = 0
        self._counted = self._subscriber.counted
        self._recorders.get("ws_connecting").record(self._worker.bin_key(now), now - started)
        self._user.count("ws_sessions")
        self._observer.on_open(now)
        for frame in self._adapter.hello(self._user.scope):
            self._write(frame)

    @override
    def on_closed(self, code: int, reason: str) -> None:
        try:
            self._release(code)
            self._observer.on_closed(code, reason)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failure(error)

    @override
    def close(self, code: int, reason: str) -> None:
        if self._connection is not None:
            self._connection.close(code, reason)

    @override
    def drop(self, how: Kill) -> None:
        connection = self._release(None)
        if connection is not None:
            connection.kill(how)

    def _release(self, code: int | None) -> WebSocketConnection | None:
        """Let go of the connection: record what it counted, fail what waits for its answers.

        `code`: how it ended; None: the user ends it.
        """
        connection = self._connection
        now = self._worker.now()
        if connection is not None:
            self.collect()
            self._connection = None
            session = self._recorders.get("ws_session_duration")
            session.record(self._worker.bin_key(now), now - self._opened_at)
        for (_, acked), log in self._logs.items():
            log.ended = now
            log.ended_by = None if acked else self._observer.why_unanswered(code)
        self._logs.clear()
        for message, error in self.take_unanswered():
            if error:
                self._observer.on_refused(message, error)
            else:
                self._observer.on_unanswered(message, code)
        self._pending.fail_requests()
        fail(self._greeting)
        return connection

    @override
    def read_freely(self) -> None:
        if self._connection is not None:
            self._connection.read_freely()

    @override
    def collect(self) -> None:
        connection = self._connection
        if connection is None:
            return
        bin_key = self._worker.bin_key(self._worker.now())
        received = connection.received
        if received > self._bytes:
            self._recorders.get("data_received").add(bin_key, received - self._bytes)
            self._bytes = received
        # Deliveries are counted where they are accounted for; here are the frames that were none.
        others = connection.frames - self._frames - (self._subscriber.counted - self._counted)
        self._recorders.get("ws_msgs_received").add(bin_key, others)
        self._frames, self._counted = connection.frames, self._subscriber.counted
        self.was_let_in = self.was_let_in or connection.frames > 0

    # -- sending -------------------------------------------------------------------------------------------

    @override
    def send(self, message: OutgoingMessage) -> bool:
        """Send a message; False without a connection, or outside of the room."""
        worker, room, intended = self._worker, message.room, message.intended
        member = self._subscriber.memberships.get(room)
        outside = self._adapter.confirms and member is not None and not member.is_in
        if outside or self._connection is None:
            return False
        now = worker.now()
        ack = message.ack and self._adapter.acks
        self._count += 1
        log, number = None, self._count
        if message.audit:
            log, rest = self._log(room, wants_acks=ack), message.behind_token()
            number, token = worker.audit.send(log, intended, now, rest)
            text = token.decode() + rest
        else:
            text = message.without_token()
        request_id = ""
        if ack:
            request_id = f"{worker.spec.run_word}-{log.number if log else self._user.id}-{number}"
            pending = PendingMessage(log, number, intended, message.label, message.done)
            self._pending.add(request_id, pending)
        self._write(self._adapter.send(room, text, request_id, self._user.scope))
        bin_key = worker.bin_key(intended)
        self._recorders.get("schedule_lag").record(bin_key, now - intended)
        if not ack:
            self._unconfirmed[bin_key] += 1
        return True

    @property
    @override
    def is_waiting(self) -> bool:
        return self._pending.is_waiting

    @override
    def take_unanswered(self) -> list[tuple[UnacceptedMessage, str]]:
        return [(_unaccepted(message), code) for message, code in self._pending.take_messages()]

    def _log(self, room: str, *, wants_acks: bool) -> SenderLog:
        log = self._logs.get((room, wants_acks))
        if log is None:
            log = self._worker.audit.open_log(self._user.name, room, acked=wants_acks)
            self._logs[room, wants_acks] = log
        return log

    @override
    def typing(self, room: str, *, is_typing: bool) -> bool:
        """Say that the user is typing; False without a connection."""
        frame = self._adapter.typing(room, is_typing=is_typing)
        return frame is None or self._write(frame)

    def _write(self, frame: bytes) -> bool:
        """Send a frame and count it; False without a connection."""
        if self._connection is None:
            return False
        self._connection.send(frame)
        bin_key = self._worker.bin_key(self._worker.now())
        self._recorders.get("ws_msgs_sent").add(bin_key)
        self._recorders.get("data_sent").add(bin_key, len(frame))
        return True

    # -- receiving -----------------------------------------------------------------------------------------

    @override
    def add_observer(self, observer: FrameObserver) -> None:
        """Show every frame to an observer: the connection must not account for any itself."""
        self._frame_observers.append(observer)
        self._expect_from(None)

    @override
    def remove_observer(self, observer: FrameObserver) -> None:
        self._frame_observers.remove(observer)

    @override
    def on_frame(self, data: bytes, now: int) -> None:
        try:  # nothing is raised: picows would close with 1011, which looks like the server's doing
            if self._frame_observers:
                for observer in list(self._frame_observers):
                    observer.observe(data)
            elif self._is_expected(data, now):
                return
            event = self._adapter.parse(data)
            if isinstance(event, events.Data):
                self._on_data(event, data, now)
            else:
                self._on_other(event, data, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failure(error)

    def _on_other(self, event: events.Event, data: bytes, now: int) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            self._subscriber.notes.append(Note(now, "in", data[:KEPT_BYTES]))
            handler(self, event, now)

    def _is_expected(self, data: bytes, now: int) -> bool:
        """Whether another of the rooms expects this frame next; from then on, that room is compared first."""
        members = self._subscriber.memberships
        if not 1 < len(members) <= _MAX_DIRECT:
            return False
        for member in members.values():
            entry = member.cursor.next
            if entry is not None and entry.frame == data:
                member.take(entry, now)
                self._subscriber.counted += 1
                self._expect_from(member)
                return True
        return False

    def _expect_from(self, member: Membership | None) -> None:
        """Let the connection compare frames with what this membership expects next; None: with nothing."""
        if self._connection is not None:
            idle = member is None or member.ended is not None or bool(self._frame_observers)
            self._connection.member = NO_MEMBERSHIP if idle or member is None else member

    def _on_data(self, event: events.Data, data: bytes, now: int) -> None:
        for delivery in deliveries(self._subscriber, event, data, now, data):
            self._expect_from(self._worker.audit.receive(delivery))

    def _on_acked(self, event: events.Acked, now: int) -> None:
        pending = self._pending.acknowledge(event.id)
        if pending is None:
            return
        worker = self._worker
        if pending.log is not None:
            worker.audit.acknowledge(pending.log, pending.number, now, event.position)
        recorder = self._recorders.get("send_ack", step=pending.label)
        bin_key = worker.bin_key(pending.intended)
        recorder.record(bin_key, now - pending.intended)
        self._acknowledged[bin_key] += 1

    def _on_refused(self, event: events.Refused, now: int) -> None:  # noqa: ARG002 - one signature
        self._user.count("errors", code=event.code)
        if event.id is None:
            self._pending.note_error(event.code)
            return
        pending = self._pending.refuse(event.id, event.code)
        if pending is None:
            return
        if pending.log is not None:
            self._worker.audit.fail(pending.log, pending.number)
        self._observer.on_refused(_unaccepted(pending), event.code)

    def _on_joined(self, event: events.Joined, now: int) -> None:
        self._memberships.confirm(event, now)
        self._expect_from(self._memberships.get(event.room))
        self._pending.confirm(event.room)

    def _on_left(self, event: events.Left, now: int) -> None:
        if self._memberships.confirm_leave(event.room, now):
            self._expect_from(None)
        self._pending.confirm(event.room)

    def _on_gap(self, event: events.Gap, now: int) -> None:  # noqa: ARG002 - one signature
        if not self._user.events.declare_gap(event.room, event.until, event.lost):
            self._memberships.declare_gap(event)

    def _on_channel_event(self, event: events.ChannelEvent, now: int) -> None:  # noqa: ARG002 - one signature
        self._user.events.take(*event)

    def _on_hello(self, event: events.Hello, now: int) -> None:  # noqa: ARG002 - one signature
        self._user.events.begin(event.channels)
        self._subscriber.connection = event.connection
        resolve(self._greeting)

    def _on_reply(self, event: events.Reply, now: int) -> None:  # noqa: ARG002 - one signature
        self._write(event.frame)

    def _on_closing(self, event: events.Closing, now: int) -> None:  # noqa: ARG002 - one signature
        self._observer.on_closing(event.retry_after)

    def _on_unreadable(self, event: events.Unreadable, now: int) -> None:  # noqa: ARG002 - one signature
        self._user.report_problem(f"the server sent what cannot be read: {event.reason}")

    _handlers: ClassVar[Mapping[type, Callable[[WebSocketTransport, Any, int], None]]] = {
        events.Acked: _on_acked,
        events.Refused: _on_refused,
        events.Joined: _on_joined,
        events.Left: _on_left,
        events.Gap: _on_gap,
        events.Hello: _on_hello,
        events.ChannelEvent: _on_channel_event,
        events.Reply: _on_reply,
        events.Closing: _on_closing,
        events.Unreadable: _on_unreadable,
    }


def _unaccepted(pending: PendingMessage) -> UnacceptedMessage:
    """What a pending message is for the account of sends."""
    log, number = pending.log, pending.number
    if log is None:
        return UnacceptedMessage("", pending.intended, sent=pending.intended)
    return UnacceptedMessage(log.room, pending.intended, log.earlier + number + 1, log.sent[number])
