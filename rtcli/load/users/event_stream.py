"""A user's event stream: it only receives, and the request that opens it names its rooms."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from typing_extensions import override

from rtcli.client.endpoint import Endpoint
from rtcli.load.adapters import interface as events
from rtcli.load.audit.records import KEPT_BYTES, Note
from rtcli.load.errors import StepError
from rtcli.load.net.event_stream import SseConnection, SseReceiver, open_sse
from rtcli.load.net.http_stream import encode_request
from rtcli.load.net.patience import patient_timeout
from rtcli.load.scenario.model import STREAM_END
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.context import UserContext
from rtcli.load.users.deliveries import deliveries
from rtcli.load.users.frame_observers import FrameObserver
from rtcli.load.users.http_publisher import HttpPublisher
from rtcli.load.users.memberships import Memberships
from rtcli.load.users.pending import fail, resolve
from rtcli.load.users.transport import (
    Capabilities,
    OutgoingMessage,
    Transport,
    TransportObserver,
    UnacceptedMessage,
)
from rtcli.protocol.sse import ServerSentEvent, SSEParser


class SseTransport(Transport, SseReceiver):
    """One user's event stream. `adapter` is shared by all users of the role."""

    # EventSource gives up for ever on any status but 200; so do we on those that call the request wrong.
    final_statuses = frozenset({204, 400, 401, 403, 404, 405})
    capabilities = Capabilities(sends_on_connection=False, acks=True)
    rooms = None

    def __init__(
        self,
        user: UserContext,
        memberships: Memberships,
        adapter: events.SseAdapter,
        observer: TransportObserver,
    ) -> None:
        self._user = user
        self._worker = user.worker
        self._subscriber = user.subscriber
        self._memberships = memberships
        self._adapter = adapter
        self._observer = observer
        self._frame_observers: list[FrameObserver] = []
        self._connection: SseConnection | None = None
        self._parser = SSEParser()  # it knows the last event id, so it outlives connections
        self._publisher = HttpPublisher(user, user.worker.scenario.target.publish, observer)
        self._greeting: asyncio.Future[None] | None = None  # done when the server has let the user in
        self._opening = events.Opening()
        self._unconfirmed: set[str] = set()  # rooms of the request
        self._started = 0  # when this attempt to connect began
        self.was_let_in = False

    # -- the connection ------------------------------------------------------------------------------------

    @override
    async def open(self, opening: events.Opening, timeout: float) -> None:
        worker = self._worker
        self._opening = replace(opening, last_event_id=self._parser.last_event_id)
        request = encode_opening(self._adapter, worker.spec.endpoint, self._opening)
        self._request_rooms()
        self._greeting = asyncio.get_running_loop().create_future()
        async with worker.connecting:
            self._started = worker.now()
            await open_sse(
                self,
                request,
                self._parser,
                sources=worker.sources,
                tls=worker.tls,
                read=self._user.role.read,
                timeout=timeout,
            )
            async with patient_timeout(timeout):
                await self._greeting

    def _request_rooms(self) -> None:
        self._unconfirmed = set(self._opening.rooms)
        for room in self._opening.rooms:
            if self._memberships.get(room) is None:
                self._memberships.request(room, websocket=False)

    @override
    def on_open(self, connection: SseConnection) -> None:
        try:
            self._on_open(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failure(error)

    def _on_open(self, connection: SseConnection) -> None:
        now = self._worker.now()
        self._connection = connection
        self.was_let_in = self._adapter.greets
        self._user.recorders.get("sse_connecting").record(self._worker.bin_key(now), now - self._started)
        self._observer.on_open(now)
        if not self._adapter.greets:
            self._confirm_rooms()
            resolve(self._greeting)

    def _confirm_rooms(self) -> None:
        """Take the response as the confirmation, and a resume that nothing is said of as complete."""
        for room in self._opening.rooms:
            self._confirm(events.Joined(room, None, self._asked_to_resume or None), self._worker.now())

    @property
    def _asked_to_resume(self) -> bool:
        return bool(self._opening.last_event_id) and self._adapter.resumes

    def _confirm(self, event: events.Joined, now: int) -> None:
        """Record that the server let the user into a room; a resume only if it could know of one."""
        if self._asked_to_resume or event.recovered:
            self._memberships.confirm(event, now)
        else:
            self._memberships.confirm_anew(event, now)

    @override
    def on_closed(self, code: int, reason: str) -> None:
        """The stream has ended. The server's `retry:` is how long to wait before coming back."""
        retry_ms = self._parser.retry_ms if self._user.role.reconnect is None else None
        try:
            self._release()
            self._observer.on_closed(code, reason, None if retry_ms is None else retry_ms / 1000)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failure(error)

    @override
    def close(self, code: int, reason: str) -> None:
        self.drop(Kill.FIN)
        self.on_closed(STREAM_END, "")

    @override
    def drop(self, how: Kill) -> None:
        connection = self._release()
        if connection is not None:
            connection.kill(how)

    def _release(self) -> SseConnection | None:
        """Let go of the connection: record what it counted, fail what waits for it."""
        connection = self._connection
        self.collect()
        self._connection = None
        fail(self._greeting)
        return connection

    @override
    def read_freely(self) -> None:
        if self._connection is not None:
            self._connection.read_freely()

    @override
    def collect(self) -> None:
        connection = self._connection
        if connection is not None and connection.received:
            bin_key = self._worker.bin_key(self._worker.now())
            self._user.recorders.get("data_received").add(bin_key, connection.received)
            self._user.recorders.get("sse_events").add(bin_key, connection.events)
            self.was_let_in = self.was_let_in or connection.events > 0
            connection.received = connection.events = 0

    # -- sending -------------------------------------------------------------------------------------------

    @override
    def send(self, message: OutgoingMessage) -> bool:
        """Publish a message over HTTP, with or without a stream."""
        self._publisher.send(message)
        return True

    @property
    @override
    def is_waiting(self) -> bool:
        return self._publisher.is_waiting

    @override
    def take_unanswered(self) -> list[tuple[UnacceptedMessage, str]]:
        return [(message, "") for message in self._publisher.take_unanswered()]

    @override
    def typing(self, room: str, *, is_typing: bool) -> bool:
        """Event streams only receive: raises StepError."""
        raise StepError("unsupported", "an event stream only receives")

    # -- receiving -----------------------------------------------------------------------------------------

    @override
    def add_observer(self, observer: FrameObserver) -> None:
        self._frame_observers.append(observer)

    @override
    def remove_observer(self, observer: FrameObserver) -> None:
        self._frame_observers.remove(observer)

    @override
    def on_event(self, event: ServerSentEvent, now: int) -> None:
        try:
            self._on_event(event, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._observer.on_failure(error)

    def _on_event(self, event: ServerSentEvent, now: int) -> None:
        data = event.data
        for observer in self._frame_observers:
            observer.observe(data)
        for member in self._subscriber.memberships.values():
            entry = member.cursor.next
            if entry is not None and entry.text == data:
                member.take(entry, now)
                return
        for parsed in self._adapter.parse(event.event, data, event.id):
            if isinstance(parsed, events.Data):
                self._on_data(parsed, data, now)
            else:
                self._on_other(parsed, data, now)

    def _on_data(self, event: events.Data, data: str, now: int) -> None:
        for delivery in deliveries(self._subscriber, event, data.encode(), now, None, data):
            self._worker.audit.receive(delivery)

    def _on_other(self, event: events.Event, data: str, now: int) -> None:
        self._subscriber.notes.append(Note(now, "in", data[:KEPT_BYTES].encode()))
        match event:
            case events.Hello():
                self._subscriber.connection = event.connection
                self._user.events.begin(event.channels)
            case events.ChannelEvent():
                self._user.events.take(*event)
            case events.Joined():
                self._confirm(event, now)
                self._unconfirmed.discard(event.room)
            case events.Gap():
                if not self._user.events.declare_gap(event.room, event.until, event.lost):
                    self._memberships.declare_gap(event)
            case events.Closing():
                self._observer.on_closing(event.retry_after)
            case events.Unreadable():
                self._user.report_problem(f"the server sent what cannot be read: {event.reason}")
        if not self._unconfirmed:
            resolve(self._greeting)


def encode_opening(adapter: events.SseAdapter, endpoint: Endpoint, opening: events.Opening) -> bytes:
    """The request that opens an event stream."""
    fields = [("Accept", "text/event-stream"), ("Accept-Encoding", "identity")]
    fields.append(("Cache-Control", "no-store"))
    fields += adapter.headers(opening)
    if opening.last_event_id:
        fields.append(("Last-Event-ID", opening.last_event_id))
    return encode_request(adapter.target(endpoint, opening), endpoint.authority, fields)
