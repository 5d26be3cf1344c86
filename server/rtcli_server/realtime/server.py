"""The parts of one server that are not about transports: construction, life, commands to all instances.

`create_app` makes one of these; the transports and the HTTP API ask it for what they need.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from itertools import chain

from rtcli.protocol.codes import CloseCode, ErrorCode
from rtcli_server.auth.admission import Rejection
from rtcli_server.auth.origins import OriginPolicy
from rtcli_server.auth.revocations import RevokedTokens
from rtcli_server.broker import Broker, Coordinator, ForeignContent, new_instance_id, open_broker
from rtcli_server.broker.paging import ReadHistory
from rtcli_server.cluster import control
from rtcli_server.cluster.deployment import Deployment
from rtcli_server.cluster.revocations import Revocations
from rtcli_server.cluster.shared_rates import SharedRates
from rtcli_server.connections.answers import Answers
from rtcli_server.connections.hub import Hub
from rtcli_server.connections.process_budget import Output, ProcessBudget
from rtcli_server.connections.reply_flusher import ReplyFlusher
from rtcli_server.connections.slow_consumers import SlowConsumers
from rtcli_server.hooks import Hooks
from rtcli_server.metrics.registry import Metrics
from rtcli_server.presence.announcements import Announcements
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.presence.rooms import Rooms
from rtcli_server.presence.service import PresenceService
from rtcli_server.realtime.audience import Audience
from rtcli_server.realtime.clients import ClientFactory
from rtcli_server.realtime.commands import Commands
from rtcli_server.realtime.from_log import FromLog
from rtcli_server.realtime.parts import (
    new_admission,
    new_authenticator,
    new_caps,
    new_disconnects,
    new_fanout,
    new_gate,
    new_local_presence,
    new_observer,
    new_retention,
    new_send_budget,
    new_user_rates,
    rejection_of_cap,
)
from rtcli_server.realtime.personal_events import PersonalEvents
from rtcli_server.realtime.revoked_clients import RevokedClients
from rtcli_server.settings import Settings
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.supervision import Supervised, Supervisor
from rtcli_server.timing.tasks import BackgroundTasks
from rtcli_server.timing.timer_wheel import Ticker, TimerWheel

DELIVERY = Supervised("delivery from the log")
KEYS = Supervised("fetching of the JWKS")
DEPLOYMENT = Supervised("taking part in the deployment")
TIMERS = Supervised("the ticker of all timers")


class RealtimeServer:
    """Log, hub, rooms, admission and clocks of one server. `start` and `stop` bracket its life on a loop."""

    def __init__(self, settings: Settings, hooks: Hooks | None = None) -> None:
        """Open the log and prepare the keys; `hooks` are asked what they implement.

        Raises InvalidStoreError, KeyConfigError and InvalidOriginError, each with a text for people.
        """
        self.settings = settings
        self.max_replay = settings.max_replay
        self.max_outstanding = settings.max_outstanding
        self.clock = Clock(time.monotonic)
        self.wheel = TimerWheel(self.clock.now())
        self.tasks = BackgroundTasks()
        self.supervisor = Supervisor()
        self.metrics = Metrics(self.clock.wall, tick_s=self.wheel.resolution_s)
        self.rng = random.Random()  # noqa: S311 - spreads reconnections; guards nothing
        self.send_budget = new_send_budget(settings)
        self.gate = new_gate(settings, hooks, self.send_budget, self.metrics, self.clock)
        self._prepare_admission()
        self._open_log()
        self._prepare_rooms()
        self._prepare_clients()

    def _prepare_admission(self) -> None:
        # A log in memory is a new one: nothing is revoked, also before this runs.
        self._revoked = RevokedTokens(self.clock.wall_ms, known=self.settings.store == "memory:")
        self.authenticator = new_authenticator(self.settings, self._revoked)
        self.origins = OriginPolicy(self.settings.origins)
        self._caps = new_caps(self.settings, self.rng)
        self.admission = new_admission(
            self.gate,
            self.authenticator,
            self.origins,
            self.check_capacity,
            self.metrics.refusals,
            retry_after_ms=self.retry_after_ms,
        )

    def _open_log(self) -> None:
        self.foreign = ForeignContent(self.clock.now)
        self.broker: Broker = open_broker(
            self.settings.store, new_retention(self.settings), self.supervisor, self.foreign, self._revoked
        )
        self.history: ReadHistory = self.broker.history
        self.fanout = new_fanout(self.broker, self.clock, self.metrics)

    def _prepare_rooms(self) -> None:
        """Prepare rooms and rates, shared with the other instances when there may be some."""
        coordinator = self.broker.coordinator
        self.instance_id = new_instance_id() if coordinator is None else coordinator.instance_id
        self.user_rates = new_user_rates(self.settings, coordinator, self.tasks.spawn)
        self._occupancy = Occupancy()
        self._announcements = Announcements(
            self.fanout, self._occupancy, self.wheel, self.clock, typing_s=self.settings.typing_s
        )
        self.revocations = Revocations(
            self.broker,
            self._revoked,
            enforce=lambda revocation: self._revoked_clients.enforce(revocation, now=self.clock.now()),
            wall_ms=self.clock.wall_ms,
        )
        self.deployment = None if coordinator is None else self._new_deployment(coordinator)
        self.rooms = self._new_rooms()

    def _prepare_clients(self) -> None:
        settings = self.settings
        self._disconnects = new_disconnects(self.gate, self.tasks.spawn)
        self._revoked_clients = RevokedClients(lambda: self.hub, self._revoked)
        self.hub = Hub(
            self._caps,
            self.metrics,
            stream_retry_s=settings.stream_retry_ms / 1000,
            observer=new_observer(self._revoked_clients, self.deployment, self._disconnects),
        )
        self._from_log = FromLog(
            self.broker,
            self.fanout,
            PersonalEvents(self.hub, self.history, spawn=self.tasks.spawn),
            self.deployment,
            self.revocations,
            spawn=self.tasks.spawn,
        )
        self.audience = Audience(self.hub, self.fanout, self.metrics, is_alone=self._is_alone)
        self.commands = Commands(
            hub=self.hub,
            audience=self.audience,
            revoked=self._revoked,
            revocations=self.revocations,
            deployment=self.deployment,
            clock=self.clock,
        )
        self.reply_flusher = ReplyFlusher()
        self.slow_consumers = SlowConsumers(
            self.fanout,
            self.history,
            self.send_budget,
            spawn=self.tasks.spawn,
            now=self.clock.now,
            deadline_s=settings.slow_deadline_s,
        )
        self.answers = Answers(self.send_budget, deadline_s=settings.slow_deadline_s)
        self._process_budget = ProcessBudget(self.outputs, self.send_budget.process_bytes)
        self.clients = ClientFactory(
            self, settings, instance_id=self.instance_id, user_rates=self.user_rates, gate=self.gate
        )

    def _new_deployment(self, coordinator: Coordinator) -> Deployment:
        return Deployment(
            broker=self.broker,
            coordinator=coordinator,
            foreign=self.foreign,
            caps=self._caps,
            occupancy=self._occupancy,
            announcements=self._announcements,
            rates=self.user_rates if isinstance(self.user_rates, SharedRates) else None,
            clock=self.clock,
            user_connections=self.settings.user_connections,
            lease_s=self.settings.instance_lease_s,
            linger_s=self.settings.presence_grace_s + self.settings.retry_spread_s,
            reject=self._reject_late,
            handle=self._handle,
            tell_here=self._tell_here,
            reannounce=self.revocations.reannounce,
            spawn=self.tasks.spawn,
            rng=self.rng,
        )

    def _new_rooms(self) -> Rooms:
        presence: PresenceService = (
            new_local_presence(self._occupancy, self._announcements)
            if self.deployment is None
            else self.deployment.presence
        )
        return Rooms(
            fanout=self.fanout,
            occupancy=self._occupancy,
            announcements=self._announcements,
            presence=presence,
            wheel=self.wheel,
            clock=self.clock,
            grace_s=self.settings.presence_grace_s,
        )

    # -- who may come in -----------------------------------------------------------------------------------

    def check_capacity(self, user_id: str, address: str) -> Rejection | None:
        """Return why one more connection is too many now, or None."""
        if self.hub.draining:
            text, retry_after_ms = "The server is about to restart", self.retry_after_ms()
            return Rejection(503, ErrorCode.UNAVAILABLE, text, CloseCode.SERVICE_RESTART, retry_after_ms)
        reached = self._caps.check(user_id, address)
        return None if reached is None else rejection_of_cap(reached)

    def _reject_late(self, connection_id: str) -> None:
        """Close a connection that turned out to be one too many, counted over all instances."""
        client = self.hub.clients.get(connection_id)
        if client is not None:
            rejection = rejection_of_cap(self._caps.user_cap_reached())
            self.metrics.refusals[rejection.code] += 1
            client.shut_down(CloseCode.TRY_AGAIN_LATER, rejection.reason, rejection.retry_after_ms)

    def retry_after_ms(self) -> int:
        """A delay for a client that has to come back; each client gets its own."""
        return 250 + int(self.rng.uniform(0, self.settings.retry_spread_s * 1000))

    def allow_own_origin(self, port: int) -> None:
        """Allow the page that this server serves itself."""
        self.origins.allow_loopback(port, tls=self.settings.tls_cert is not None)

    def _handle(self, command: control.Command) -> None:
        self.commands.handle(command)

    def _tell_here(self, connection_id: str, event: str, data: bytes) -> None:
        self.audience.tell(connection_id, event, data)

    # -- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to deliver and to tick, on the running loop."""
        start = self.supervisor.start
        start(DELIVERY, self._from_log.run)
        if self.authenticator.fetches_keys:
            start(KEYS, self.authenticator.run)
        if self.deployment is not None:
            start(DEPLOYMENT, self.deployment.run)
        start(TIMERS, Ticker(self.wheel, self.clock.now, self._tick).run)
        await self._read_revocations()

    async def _read_revocations(self) -> None:
        if self.deployment is not None:
            self.broker.subscribe(control.CHANNEL)
        if not await self.revocations.first_read():
            self.tasks.spawn(self.revocations.read_until_known())

    def _tick(self, now: float) -> None:
        self.slow_consumers.tick(now)
        self.answers.tick(now)
        self._process_budget.tick(now)
        self._revoked_clients.tick(now)
        self.metrics.ticked(now)

    @property
    def ended_connections(self) -> int:
        """Number of clients that have gone so far, and of long answers over HTTP."""
        return self.metrics.opened.total() - len(self.hub.clients) + self.answers.drained_count

    def outputs(self) -> Iterable[Output]:
        """Everything in which bytes may wait to be sent."""
        return chain(self.hub.clients.values(), self.answers.outputs)

    async def stop(self) -> None:
        """Cut the clients that are left, and close the log."""
        self.supervisor.expect_ends()
        self.hub.abort_all()
        if self._disconnects is not None:
            await self._disconnects.finish(self.settings.hook_deadline_s)
        await self.tasks.cancel()
        if self.gate is not None:
            await self.gate.close()
        if self.deployment is not None:
            await self.deployment.leave()
        await self.broker.close()
        await self.supervisor.stop()

    @property
    def instance_count(self) -> int:
        """Number of living instances of the deployment, this one included."""
        return 1 if self.deployment is None else max(1, len(self.deployment.membership.alive))

    def _is_alone(self) -> bool:
        return self.deployment is None or self.deployment.is_alone

    async def ready(self) -> bool:
        """Whether connections are welcome.

        The log answers, tokens can be checked, everything runs that should, and nothing is draining.
        """
        runs = not self.hub.draining and not self.supervisor.failing
        return runs and self.authenticator.ready and await self.broker.ready()
