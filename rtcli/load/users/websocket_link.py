"""A user's WebSocket: opened, counted, and lost."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from rtcli.load.adapters import base
from rtcli.load.core.context import WorkerContext
from rtcli.load.errors import LostError, RefusedError
from rtcli.load.net.websocket import WebSocketConnection, open_websocket
from rtcli.load.scenario.model import Role
from rtcli.load.users.connected import ConnectedUser


class WsLink(ConnectedUser[WebSocketConnection]):
    """The connection of a user; subclasses make something of what comes over it (`on_frame`)."""

    final = frozenset({400, 401, 403, 404})

    def __init__(
        self, worker: WorkerContext, role: Role, index: int, number: int, adapter: base.WsAdapter
    ) -> None:
        super().__init__(worker, role, index, number)
        self.adapter = adapter
        self.resumes = adapter.resumes
        self._bytes = self._frames = self._counted = 0  # of this connection, taken over already

    @abstractmethod
    def on_frame(self, data: bytes, now: int) -> None:
        """See crowd_ws.Receiver."""

    async def _open(self, timeout: float) -> None:  # noqa: ASYNC109 - see User
        """See User."""
        worker, adapter = self.worker, self.adapter
        self.greeting = asyncio.get_running_loop().create_future()
        try:
            async with worker.connecting:
                started = worker.now()
                connection = await open_websocket(
                    self,
                    adapter.url(worker.spec.endpoint, self.opening),
                    sources=worker.sources,
                    headers=adapter.headers(self.opening),
                    subprotocols=adapter.subprotocols,
                    read=self.role.read,
                    tls=worker.tls,
                    timeout=timeout,
                )
                if connection.receiver is None:  # closed before this task had its turn: see `open`
                    return
                self.connection = connection
                self._bytes = self._frames = 0
                self._counted = self.subscriber.counted
                self.opened("ws_connecting", started)
                self.worker.count(self.role, "ws_sessions")
                self.connected = True
                for frame in adapter.hello(self.scope):
                    self.write(frame)
                if adapter.greets:
                    async with asyncio.timeout(timeout):
                        await self.greeting
        except (OSError, TimeoutError, RefusedError, LostError) as error:
            self.failed(error)

    def say_goodbye(self, code: int, reason: str) -> None:
        """See User."""
        if self.connection is not None:
            self.connection.close(code, reason)

    def ended(self, connection: WebSocketConnection) -> None:
        """See ConnectedUser."""
        super().ended(connection)
        now = self.worker.now()
        session = self.recorders.get("ws_session_duration")
        session.record(self.worker.bin_key(now), now - self._opened_at)

    def take_over(self, connection: WebSocketConnection) -> None:
        """See ConnectedUser."""
        bin_key = self.worker.bin_key(self.worker.now())
        received = connection.received
        if received > self._bytes:
            self.recorders.get("data_received").add(bin_key, received - self._bytes)
            self._bytes = received
        # Deliveries are counted where they are accounted for; here are the frames that were none.
        others = connection.frames - self._frames - (self.subscriber.counted - self._counted)
        self.recorders.get("ws_msgs_received").add(bin_key, others)
        self._frames, self._counted = connection.frames, self.subscriber.counted

    def write(self, frame: bytes) -> None:
        """Send a frame, if there is a connection."""
        if self.connection is not None:
            self.connection.send(frame)
            bin_key = self.worker.bin_key(self.worker.now())
            self.recorders.get("ws_msgs_sent").add(bin_key)
            self.recorders.get("data_sent").add(bin_key, len(frame))
