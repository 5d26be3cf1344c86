"""The parts of one server that are not about transports, put together from plain settings.

`create_app` makes one of these; the transports and the HTTP API ask it for what they need.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time

from server.auth import Authenticator
from server.broker import Broker, Lost, Retention, open_broker
from server.claims import Principal
from server.clock import Clock
from server.connection import Connection
from server.fanout import Fanout
from server.flusher import Flusher
from server.gate import Denied, Gate
from server.hub import Hub
from server.limits import ConnectionCaps, UserRates, default_node_limit
from server.metrics import Metrics
from server.origins import OriginPolicy
from server.outlet import Outlet
from server.protocol.codes import CloseCode, ErrorCode
from server.protocol.session import Heartbeat, Session, SessionSettings
from server.pulse import Pulse
from server.resume import ReadHistory
from server.rooms import Rooms
from server.settings import Settings
from server.stream import Stream
from server.wheel import Ticker, Wheel


class Realtime:
    """Log, hub, rooms, gate and clocks of one server. `start` and `stop` bracket its life on a loop."""

    def __init__(self, settings: Settings) -> None:
        """Open the log and prepare the keys.

        Raises InvalidStoreError, KeyConfigError and InvalidOriginError, each with a text for people.
        """
        self.settings = settings
        self.clock = Clock(time.monotonic)
        self.wheel = Wheel(self.clock.now())
        self.metrics = Metrics(self.clock.wall, tick_s=self.wheel.resolution_s)
        self.rng = random.Random()  # noqa: S311 - spreads reconnections; guards nothing
        self.instance_id = secrets.token_hex(4)
        self.authenticator = Authenticator(
            secrets=settings.secrets,
            public_keys=settings.public_keys,
            jwks_url=settings.jwks_url,
            audience=settings.audience,
            issuer=settings.issuer,
        )
        self.origins = OriginPolicy(settings.origins)
        self.gate = Gate(self.authenticator, self.origins, self.admission, self.metrics.refusals)
        retention = Retention(
            max_count=settings.history_size,
            max_age_s=settings.history_ttl_s,
            max_channel_bytes=settings.history_channel_bytes,
            max_total_bytes=settings.history_total_bytes,
        )
        self.broker: Broker = open_broker(settings.store, retention)
        self.history: ReadHistory = self.broker.history
        caps = ConnectionCaps(
            node=settings.node_connections or default_node_limit(),
            user=settings.user_connections,
            address=settings.address_connections,
            rng=self.rng,
        )
        self.hub = Hub(caps, self.metrics, slow_deadline_s=settings.slow_deadline_s)
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
        self.user_rates = None if user_rate is None else UserRates(user_rate, 2 * user_rate)
        self._session_settings = SessionSettings(
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
        self._ticker: Ticker | None = None
        self._running: list[asyncio.Task[None]] = []

    def admission(self, user_id: str, address: str) -> Denied | None:
        """Say why a connection with a good token is not welcome now."""
        if self.hub.draining:
            text, retry_after_ms = "The server is about to restart", self.retry_after_ms()
            return Denied(503, ErrorCode.UNAVAILABLE, text, CloseCode.SERVICE_RESTART, retry_after_ms)
        reached = self.hub.caps.admit(user_id, address)
        if reached is None:
            return None
        text = f"Too many connections ({reached.cap})"
        return Denied(503, ErrorCode.RATE_LIMITED, text, CloseCode.TRY_AGAIN_LATER, reached.retry_after_ms)

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
        self, principal: Principal, outlet: Outlet, heartbeat: Heartbeat, address: str
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
            outlet,
            connection_id=connection_id,
            user_id=principal.user_id,
            name=principal.name,
            address=address,
        )

    def new_stream(self, principal: Principal, address: str) -> Stream:
        """An event stream that was admitted and has no outlet yet."""
        return Stream(
            self,
            connection_id=self.new_connection_id(),
            user_id=principal.user_id,
            address=address,
            expires_at=principal.expires_at,
            expiry_grace_s=self.settings.expiry_grace_s,
            heartbeat_s=self.settings.stream_heartbeat_s,
            retry_ms=self.settings.stream_retry_ms,
        )

    def new_pulse(self, address: str) -> Pulse:
        """A stream of heartbeats."""
        return Pulse(
            self,
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
            loop.create_task(self.broker.run(self.fanout.deliver, self._lost)),
            loop.create_task(self.authenticator.run()),
        ]
        self._ticker = Ticker(loop, self.wheel, self.clock.now, self._tick)
        self._ticker.start()

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
        await self.broker.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def ready(self) -> bool:
        """Whether connections are welcome: the log answers, there is a key, and nothing is draining."""
        return not self.hub.draining and self.authenticator.ready and await self.broker.ready()
