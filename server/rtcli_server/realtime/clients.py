"""Makes the connections and event streams of clients that were admitted."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Protocol

from rtcli_server.auth.claims import Principal
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.event_stream_writer import EventStreamServices, OpenWriter
from rtcli_server.connections.heartbeat_stream import HeartbeatStream
from rtcli_server.connections.hooked import HookedConnection, hooked_actions
from rtcli_server.connections.websocket import Connection
from rtcli_server.connections.websocket_writer import WebSocketServices, WebSocketWriter
from rtcli_server.hooks import HookGate
from rtcli_server.limits.user_rates import UserRates
from rtcli_server.realtime.parts import new_session_settings
from rtcli_server.session.session import Session
from rtcli_server.session.settings import HeartbeatMode
from rtcli_server.settings import Settings


class ClientServices(WebSocketServices, EventStreamServices, Protocol):
    """What clients of either transport need of their server."""


class ClientFactory:
    """Gives each client a name, its limits and its server. `user_rates` None: no limit.

    `gate` None: no hooks.
    """

    def __init__(
        self,
        services: ClientServices,
        settings: Settings,
        *,
        instance_id: str,
        user_rates: UserRates | None,
        gate: HookGate | None = None,
    ) -> None:
        self._services = services
        self._settings = settings
        self._session_settings = new_session_settings(settings)
        self._instance_id = instance_id
        self._user_rates = user_rates
        # Chosen once: without hooks, a connection is what it was before there were any.
        self._connection: Callable[..., Connection] = Connection
        if gate is not None and gate.implemented & {"join", "publish"}:
            self._connection = partial(HookedConnection, hooked_actions(gate))

    def _new_connection_id(self) -> str:
        """A name for one connection, unique over instances; it begins with the instance's."""
        return f"{self._instance_id}-{secrets.token_hex(6)}"

    def new_connection(
        self, principal: Principal, writer: WebSocketWriter, heartbeat: HeartbeatMode, address: str
    ) -> Connection:
        """A WebSocket connection; its handshake was accepted, or is about to be."""
        connection_id = self._new_connection_id()
        clock, rates = self._services.clock, self._user_rates
        now = clock.now()
        session = Session(
            connection_id=connection_id,
            rights=principal,
            instance_id=self._instance_id,
            heartbeat=heartbeat,
            settings=self._session_settings,
            now=now,
            wall=clock.wall(),
            user_bucket=None if rates is None else rates.of(principal.user_id, now),
        )
        return self._connection(
            self._services,
            session,
            writer,
            connection_id=connection_id,
            user_id=principal.user_id,
            name=principal.name,
            address=address,
        )

    def new_event_stream(self, principal: Principal, address: str, open_writer: OpenWriter) -> EventStream:
        """An event stream; `open_writer` is called once."""
        return EventStream(
            self._services,
            open_writer,
            connection_id=self._new_connection_id(),
            principal=principal,
            address=address,
            expiry_grace_s=self._settings.expiry_grace_s,
            heartbeat_s=self._settings.stream_heartbeat_s,
            retry_ms=self._settings.stream_retry_ms,
        )

    def new_heartbeat_stream(self, address: str, open_writer: OpenWriter) -> HeartbeatStream:
        """A stream of heartbeats alone, for anyone; `open_writer` is called once."""
        return HeartbeatStream(
            self._services,
            open_writer,
            connection_id=self._new_connection_id(),
            address=address,
            heartbeat_s=self._settings.stream_heartbeat_s,
            retry_ms=self._settings.stream_retry_ms,
        )
