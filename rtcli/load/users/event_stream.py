"""A user on an event stream: it receives; what its rooms are is said with the request."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rtcli.load.adapters import base
from rtcli.load.audit.records import Delivery, Note
from rtcli.load.audit.token import LENGTH, MARK
from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import LostError, RefusedError
from rtcli.load.net.event_stream import SseConnection, open_sse
from rtcli.load.net.http_stream import encode_request
from rtcli.load.scenario.model import Role
from rtcli.load.scenario.steps import Kill
from rtcli.load.users.connected import ConnectedUser
from rtcli.load.users.http_publisher import HttpPublisher
from rtcli.load.users.transport import Message
from rtcli.protocol.sse import ServerSentEvent, SSEParser

_NOTED = 400
_MARK = MARK.decode()


class SseUser(ConnectedUser[SseConnection]):
    """One user. `adapter` is shared by all of its kind."""

    # EventSource gives up for ever on any status but 200; so do we on those that call the request wrong.
    final = frozenset({204, 400, 401, 403, 404, 405})

    def __init__(
        self, worker: WorkerContext, role: Role, index: int, number: int, adapter: base.SseAdapter
    ) -> None:
        super().__init__(worker, role, index, number)
        self.adapter = adapter
        self.resumes = adapter.resumes
        self.parser = SSEParser()
        self._publisher = HttpPublisher(worker, self, worker.scenario.target.publish)
        self._waiting: set[str] = set()  # rooms whose confirmation is due
        self._started = 0  # the attempt to connect

    async def _open(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User."""
        worker, adapter = self.worker, self.adapter
        self.opening = replace(self.opening, last_event_id=self.parser.last_event_id)
        endpoint = worker.spec.endpoint
        fields = [("Accept", "text/event-stream"), ("Cache-Control", "no-store")]
        fields += adapter.headers(self.opening)
        if self.opening.last_event_id:
            fields.append(("Last-Event-ID", self.opening.last_event_id))
        request = encode_request(adapter.target(endpoint, self.opening), endpoint.authority, fields)
        self._ask_for_rooms()
        self.greeting = asyncio.get_running_loop().create_future()
        try:
            async with worker.connecting:
                self._started = worker.now()
                await open_sse(
                    self,
                    request,
                    self.parser,
                    sources=worker.sources,
                    tls=worker.tls,
                    read=self.role.read,
                    timeout=timeout,
                )
                async with asyncio.timeout(timeout):
                    await self.greeting
        except (OSError, TimeoutError, RefusedError, LostError) as error:
            self.failed(error)

    def on_open(self, connection: SseConnection) -> None:
        """See crowd_sse.StreamReceiver."""
        self.connection = connection
        self.connected = True
        self.opened("sse_connecting", self._started)
        if not self.adapter.greets:
            self._enter_all()
            self.greeted()

    def _ask_for_rooms(self) -> None:
        worker = self.worker
        self._waiting = set(self.opening.rooms)
        for room in self.opening.rooms:
            if room not in self.subscriber.memberships:
                worker.audit.join(
                    self.subscriber,
                    room,
                    worker.now(),
                    counts=self.recorders.deliveries(room, websocket=False),
                )

    def _enter_all(self) -> None:
        """The answer itself is the confirmation. A resume that nothing is said of is taken at its word."""
        resumed = True if self.opening.last_event_id and self.resumes else None
        for room in self.opening.rooms:
            self.is_back(base.Joined(room, None, resumed), self.worker.now())

    async def rejoin(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User: the request has said it all."""

    def say_goodbye(self, code: int, reason: str) -> None:  # noqa: ARG002 - HTTP has no words for it
        """See User."""
        self.drop(Kill.FIN)
        self.on_closed(0, "")

    def on_closed(self, code: int, reason: str) -> None:
        """See User. The server's `retry:` is what to wait before coming back."""
        if self.retry_after is None and self.parser.retry_ms is not None and self.role.reconnect is None:
            self.retry_after = self.parser.retry_ms / 1000
        super().on_closed(code, reason)

    def take_over(self, connection: SseConnection) -> None:
        """See ConnectedUser."""
        bin_key = self.worker.bin_key(self.worker.now())
        if connection.received:
            self.recorders.get("data_received").add(bin_key, connection.received)
            self.recorders.get("sse_events").add(bin_key, connection.events)
            connection.received = connection.events = 0

    def send(self, message: Message) -> bool:
        """Publish a message by HTTP, beside the stream; that is always answered."""
        if message.size is not None:
            message = message._replace(text=message.text.rjust(message.size - LENGTH - 1, "."))
        self._publisher.send(message)
        return True

    def on_lost(self, now: int) -> None:
        """See User."""

    # -- receiving -----------------------------------------------------------------------------------------

    def on_event(self, event: ServerSentEvent, now: int) -> None:
        """See crowd_sse.StreamReceiver."""
        data = event.data
        for watcher in self.watchers:
            watcher.see(data)
        for member in self.subscriber.memberships.values():
            entry = member.cursor.next
            if entry is not None and entry.text == data:
                member.take(entry, now)
                return
        for told in self.adapter.parse(event.event, data, event.id):
            if isinstance(told, base.Data):
                self._on_data(told, data, now)
            else:
                self._on_other(told, data, now)

    def _on_data(self, told: base.Data, data: str, now: int) -> None:
        at = data.find(_MARK)
        only = data.find(_MARK, at + LENGTH) < 0
        raw = data.encode()
        while at >= 0:
            token = data[at : at + LENGTH].encode()
            text = data if only else None
            delivery = Delivery(self.subscriber, told.room, token, told.position, now, raw, None, text)
            self.worker.audit.receive(delivery)
            at = data.find(_MARK, at + LENGTH)

    def _on_other(self, told: base.Event, data: str, now: int) -> None:
        self.subscriber.notes.append(Note(now, "in", data[:_NOTED].encode()))
        if isinstance(told, base.Hello):
            self.subscriber.connection = told.connection
        elif isinstance(told, base.Joined):
            self.is_back(told, now)
            self._waiting.discard(told.room)
        elif isinstance(told, base.GapTold):
            member = self.subscriber.memberships.get(told.room)
            if member is not None and told.after is not None and told.until is not None:
                self.worker.audit.gap_declared(member, told.after, told.until)
        elif isinstance(told, base.Closing):
            self.retry_after = told.retry_after
        if not self._waiting:
            self.greeted()
