"""The parts of one server that are not about transports, put together from plain settings.

`create_app` makes one of these; the transports and the HTTP API ask it for what they need.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli.protocol.position import CONTROL
from rtcli.protocol.publication import Publication
from rtcli_server.auth.admission import Admission, Rejection
from rtcli_server.auth.authenticator import Authenticator
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.broker import Broker, Coordinator, Deliver, Lost, Retention, new_instance_id, open_broker
from rtcli_server.cluster.control import Command, Kick
from rtcli_server.cluster.deployment import Deployment
from rtcli_server.cluster.user_connections import SharedRates
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.event_stream_writer import OpenWriter
from rtcli_server.connections.heartbeat_stream import HeartbeatStream
from rtcli_server.connections.hub import Hub
from rtcli_server.connections.websocket import Connection
from rtcli_server.connections.websocket_writer import WebSocketWriter
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.delivery.flusher import Flusher
from rtcli_server.delivery.recovery import ReadHistory
from rtcli_server.limits.connection_caps import CapReached, ConnectionCaps, UserRates, default_node_limit
from rtcli_server.metrics.registry import Metrics
from rtcli_server.presence.rooms import Rooms
from rtcli_server.session.session import HeartbeatMode, Session, SessionSettings
from rtcli_server.settings import Settings
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import Ticker, TimerWheel


def _too_many(reached: CapReached) -> Rejection:
    text = f"Too many connections ({reached.cap})"
    return Rejection(503, ErrorCode.RATE_LIMITED, text, CloseCode.TRY_AGAIN_LATER, reached.retry_after_ms)


def _retention(settings: Settings) -> Retention:
    return Retention(
        max_count=settings.history_size,
        max_age_s=settings.history_ttl_s,
        max_channel_bytes=settings.history_channel_bytes,
        max_total_bytes=settings.history_total_bytes,
    )


def _caps(settings: Settings, rng: random.Random) -> ConnectionCaps:
    return ConnectionCaps(
        node=settings.node_connections or default_node_limit(),
        user=settings.user_connections,
        address=settings.address_connections,
        rng=rng,
    )


def _session_settings(settings: Settings) -> SessionSettings:
    rate = settings.rate_limit_per_s
    return SessionSettings(
        ping_interval_s=settings.ping_interval_s,
        pong_timeout_s=settings.pong_timeout_s,
        max_misses=settings.max_misses,
        rfc_ping_interval_s=settings.rfc_ping_interval_s,
        rfc_ping_timeout_s=settings.rfc_ping_timeout_s,
        max_rooms=settings.max_rooms,
        token_expiring_s=settings.token_expiring_s,
        expiry_grace_s=settings.expiry_grace_s,
        rate_limit_per_s=rate,
        rate_burst=2 * (rate or 100.0),
    )


class Realtime:
    """Log, hub, rooms, admission and clocks of one server. `start` and `stop` bracket its life on a loop."""

    def __init__(self, settings: Settings) -> None:
        """Open the log and prepare the keys.

        Raises InvalidStoreError, KeyConfigError and InvalidOriginError, each with a text for people.
        """
        self.settings = settings
        self.clock = Clock(time.monotonic)
        self.wheel = TimerWheel(self.clock.now())
        self.metrics = Metrics(self.clock.wall, tick_s=self.wheel.resolution_s)
        self.rng = random.Random()  # noqa: S311 - spreads reconnections; guards nothing
        self.authenticator = Authenticator(
            secrets=settings.secrets,
            public_keys=settings.public_keys,
            jwks_url=settings.jwks_url,
            audience=settings.audience,
            issuer=settings.issuer,
        )
        self.origins = OriginPolicy(settings.origins)
        self.admission = Admission(
            self.authenticator, self.origins, self.check_capacity, self.metrics.refusals
        )
        self.broker: Broker = open_broker(settings.store, _retention(settings))
        coordinator = self.broker.coordinator
        self.instance_id = new_instance_id() if coordinator is None else coordinator.instance_id
        self.history: ReadHistory = self.broker.history
        self.hub = Hub(
            _caps(settings, self.rng),
            self.metrics,
            slow_deadline_s=settings.slow_deadline_s,
            stream_retry_s=settings.stream_retry_ms / 1000,
        )
        self.fanout = Fanout(
            subscribe=self.broker.subscribe,
            unsubscribe=self.broker.unsubscribe,
            call_soon=lambda run: asyncio.get_running_loop().call_soon(run),
            timestamp=self.clock.timestamp,
            on_flush=self.metrics.flushed,
        )
        self.flusher = Flusher()
        self.rooms = Rooms(
            fanout=self.fanout,
            wheel=self.wheel,
            clock=self.clock,
            presence_grace_s=settings.presence_grace_s,
            typing_s=settings.typing_s,
        )
        self.max_replay = settings.max_replay
        self.max_outstanding = settings.max_outstanding
        rate = settings.rate_limit_per_s
        user_rate = None if rate is None else rate * settings.user_rate_factor
        self.user_rates = None if user_rate is None else self._new_rates(user_rate)
        self.deployment = (
            None if self.broker.coordinator is None else self._new_deployment(self.broker.coordinator)
        )
        self._session_settings = _session_settings(settings)
        self._ticker: Ticker | None = None
        self._running: list[asyncio.Task[None]] = []

    def _new_rates(self, rate_per_s: float) -> UserRates:
        coordinator, burst = self.broker.coordinator, 2 * rate_per_s
        if coordinator is None:
            return UserRates(rate_per_s, burst)
        return SharedRates(rate_per_s, burst, coordinator, spawn=self.hub.spawn)

    def _new_deployment(self, coordinator: Coordinator) -> Deployment:
        settings = self.settings
        return Deployment(
            self.broker,
            coordinator,
            self.hub,
            self.rooms,
            self.clock,
            user_connections=settings.user_connections,
            lease_s=settings.instance_lease_s,
            linger_s=settings.presence_grace_s + settings.retry_spread_s,
            refuse=self._refuse_late,
            obey=self._obey,
            rng=self.rng,
        )

    def check_capacity(self, user_id: str, address: str) -> Rejection | None:
        """Return why one more connection is too many now, or None."""
        if self.hub.draining:
            text, retry_after_ms = "The server is about to restart", self.retry_after_ms()
            return Rejection(503, ErrorCode.UNAVAILABLE, text, CloseCode.SERVICE_RESTART, retry_after_ms)
        reached = self.hub.caps.admit(user_id, address)
        return None if reached is None else _too_many(reached)

    def _refuse_late(self, connection_id: str) -> None:
        """Close a connection that turned out to be one too many, counted over all instances."""
        client = self.hub.clients.get(connection_id)
        if client is not None:
            rejection = _too_many(self.hub.caps.too_many_of_user())
            self.metrics.refusals[rejection.code] += 1
            client.shut_down(CloseCode.TRY_AGAIN_LATER, rejection.reason, rejection.retry_after_ms)

    # -- what is asked of all instances --------------------------------------------------------------------

    async def kick(self, user_id: str) -> int:
        """Close everything that a user has open, on all instances; return how many that were.

        Raises BrokerUnavailableError when the other instances could not be told.
        """
        here = self.hub.kick(user_id)
        return here if self.deployment is None else here + await self.deployment.kick(user_id)

    async def refresh_elsewhere(self, connection_id: str, principal: Principal) -> bool:
        """Let an event stream on another instance go on; return whether there may be one.

        Raises BrokerUnavailableError when that instance could not be told.
        """
        deployment = self.deployment
        return deployment is not None and await deployment.refresh_stream(connection_id, principal)

    def _obey(self, command: Command) -> None:
        """Do what was asked of all instances."""
        if isinstance(command, Kick):
            self.hub.kick(command.user_id)
            self.hub.remember_kick(command.user_id, now=self.clock.now())
        else:
            stream = self.hub.clients.get(command.connection_id)
            if isinstance(stream, EventStream):
                stream.refresh(command.principal)

    # -- clients -------------------------------------------------------------------------------------------

    def allow_own_origin(self, port: int) -> None:
        """Allow the page that this server serves itself."""
        self.origins.allow_loopback(port, tls=self.settings.tls_cert is not None)

    def new_connection_id(self) -> str:
        """A name for one connection, unique over instances."""
        return f"{self.instance_id}-{secrets.token_hex(6)}"

    def retry_after_ms(self) -> int:
        """A delay of its own for each client that has to come back."""
        return 250 + int(self.rng.uniform(0, self.settings.retry_spread_s * 1000))

    def new_connection(
        self, principal: Principal, writer: WebSocketWriter, heartbeat: HeartbeatMode, address: str
    ) -> Connection:
        """A WebSocket connection that was admitted and accepted."""
        connection_id = self.new_connection_id()
        rates, now = self.user_rates, self.clock.now()
        session = Session(
            connection_id=connection_id,
            rights=principal,
            instance_id=self.instance_id,
            heartbeat=heartbeat,
            settings=self._session_settings,
            now=now,
            wall=self.clock.wall(),
            user_bucket=None if rates is None else rates.of(principal.user_id, now),
        )
        return Connection(
            self,
            session,
            writer,
            connection_id=connection_id,
            user_id=principal.user_id,
            name=principal.name,
            address=address,
        )

    def new_event_stream(self, principal: Principal, address: str, open_writer: OpenWriter) -> EventStream:
        """An event stream that was admitted."""
        return EventStream(
            self,
            open_writer,
            connection_id=self.new_connection_id(),
            user_id=principal.user_id,
            address=address,
            expires_at=principal.expires_at,
            expiry_grace_s=self.settings.expiry_grace_s,
            heartbeat_s=self.settings.stream_heartbeat_s,
            retry_ms=self.settings.stream_retry_ms,
        )

    def new_heartbeat_stream(self, address: str, open_writer: OpenWriter) -> HeartbeatStream:
        """A stream of heartbeats alone, for anyone."""
        return HeartbeatStream(
            self,
            open_writer,
            connection_id=self.new_connection_id(),
            address=address,
            heartbeat_s=self.settings.stream_heartbeat_s,
            retry_ms=self.settings.stream_retry_ms,
        )

    # -- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to deliver and to tick, on the running loop."""
        loop = asyncio.get_running_loop()
        self._running = [
            loop.create_task(self.broker.run(self._deliver(), self._lost)),
            loop.create_task(self.authenticator.run()),
        ]
        if self.deployment is not None:
            rates = self.user_rates
            shared = rates if isinstance(rates, SharedRates) else None
            self._running.append(loop.create_task(self.deployment.run(shared)))
        self._ticker = Ticker(loop, self.wheel, self.clock.now, self._tick)
        self._ticker.start()

    def _deliver(self) -> Deliver:
        deployment, deliver = self.deployment, self.fanout.deliver
        if deployment is None:
            return deliver

        def hand_out(publication: Publication) -> None:
            if publication.channel == CONTROL:
                deployment.controlled(publication)
            else:
                deliver(publication)

        return hand_out

    def _tick(self, now: float) -> None:
        self.hub.tick(now)
        self.metrics.ticked(now)

    def _lost(self, lost: Lost) -> None:
        self.fanout.lost(lost.channel, lost.position)

    async def stop(self) -> None:
        """Cut who is still here, and close the log."""
        if self._ticker is not None:
            self._ticker.stop()
        for client in list(self.hub.clients.values()):
            client.abort()
        await self.hub.finish()
        if self.deployment is not None:
            await self.deployment.leave()
        await self.broker.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @property
    def instance_count(self) -> int:
        """How many instances of the deployment live, this one included."""
        return 1 if self.deployment is None else max(1, len(self.deployment.census.alive))

    async def ready(self) -> bool:
        """Whether connections are welcome: the log answers, there is a key, and nothing is draining."""
        return not self.hub.draining and self.authenticator.ready and await self.broker.ready()
