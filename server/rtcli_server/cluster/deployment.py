"""This instance among the others of its deployment: the parts of `cluster`, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from msgspec import Raw

from rtcli.protocol.position import ROOM_PREFIX
from rtcli.protocol.publication import Publication
from rtcli_server.auth.claims import Principal
from rtcli_server.broker import (
    Broker,
    Coordinator,
    ForeignContent,
    ForeignDataError,
    Notification,
    Place,
    Published,
)
from rtcli_server.cluster.control import (
    CHANNEL,
    EVENT,
    Command,
    Kick,
    Refresh,
    decode_command,
    encode_command,
)
from rtcli_server.cluster.direct import (
    MAX_AGE_MS,
    Direct,
    channel_of,
    decode_direct,
    encode_direct,
    instance_of,
)
from rtcli_server.cluster.heartbeat import HeartbeatLoop, settling_s
from rtcli_server.cluster.membership import ClusterMembership
from rtcli_server.cluster.presence import ClusterPresence
from rtcli_server.cluster.shared_rates import SharedRates
from rtcli_server.cluster.user_connections import UserConnections
from rtcli_server.limits.connection_caps import ConnectionCaps
from rtcli_server.presence.announcements import Announcements
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.tasks import Spawn

REPORT_RATES_S = 0.5


class Deployment:
    """What the other parts of this instance need of the other instances.

    `linger_s`: how long the users of an instance that ends count as being about to come back; `reject` closes
    a connection (by id) that is one too many of its user; `handle` carries out a command that was sent to all
    instances; `tell_here` sends an event to a connection of this one (id, event, data as JSON); `reannounce`
    is called when the store may have forgotten something, or a command was missed.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        coordinator: Coordinator,
        foreign: ForeignContent,
        caps: ConnectionCaps,
        occupancy: Occupancy,
        announcements: Announcements,
        rates: SharedRates | None,
        clock: Clock,
        user_connections: int | None,
        lease_s: float,
        linger_s: float,
        reject: Callable[[str], None],
        handle: Callable[[Command], None],
        tell_here: Callable[[str, str, bytes], object],
        reannounce: Callable[[], Awaitable[None]],
        spawn: Spawn,
        rng: Random,
    ) -> None:
        self._broker = broker
        self._coordinator = coordinator
        self._foreign = foreign
        self._announcements = announcements
        self._clock = clock
        self._rates = rates
        self._linger_s = linger_s
        self._handle = handle
        self._tell_here = tell_here
        # Those of the log that are for instances: commands for all, and what is for connections of this one.
        self.channels = frozenset({CHANNEL, channel_of(coordinator.instance_id)})
        self.membership = ClusterMembership()
        self.presence = ClusterPresence(coordinator, occupancy, self.membership, spawn=spawn, now=clock.now)
        self.user_connections = UserConnections(
            coordinator,
            self.membership,
            caps,
            limit=user_connections,
            probation_s=settling_s(lease_s) + lease_s,
            reject=reject,
            spawn=spawn,
            now=clock.now,
        )
        self._heartbeats = HeartbeatLoop(
            coordinator,
            self.membership,
            [self.presence.reannounce, self.user_connections.reannounce, reannounce],
            lease_s=lease_s,
            now=clock.now,
            rng=rng,
        )

    async def run(self) -> None:
        """Take part in the deployment until cancelled."""
        for channel in self.channels:
            self._broker.subscribe(channel)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeats.run())
            if self._rates is not None:
                group.create_task(self._report(self._rates))

    async def _report(self, rates: SharedRates) -> None:
        while True:
            await asyncio.sleep(REPORT_RATES_S)
            rates.report(self._clock.now)

    async def leave(self) -> None:
        """Tell the other instances that this one ends."""
        await self._heartbeats.leave(self._linger_s)

    @property
    def is_alone(self) -> bool:
        """Whether it is known that no other instance lives; not before the first heartbeat was answered."""
        return self.membership.alive == {self._coordinator.instance_id}

    # -- what the others send ------------------------------------------------------------------------------

    def on_notification(self, channel: str, notification: Notification) -> None:
        """Apply what happened in a room on any instance."""
        room, user_id, name = channel.removeprefix(ROOM_PREFIX), notification.user, notification.name
        if notification.kind == "joined":
            self._announcements.user_joined(room, user_id, name)
        elif notification.kind == "typing":
            if notification.by != self._coordinator.instance_id:
                self._announcements.user_typing(room, user_id, name, is_typing=notification.is_typing)
        elif not self.presence.repair(room, user_id):
            self._announcements.user_left(room, user_id, name)

    def on_publication(self, publication: Publication) -> None:
        """Carry out what was published in one of `channels`; what is not known is skipped."""
        try:
            if publication.channel == CHANNEL:
                self._handle(decode_command(publication.data))
                return
            direct = decode_direct(publication.data)
        except ForeignDataError as error:
            self._foreign.skip(Place.COMMAND, publication.channel, error)
            return
        if self._clock.wall_ms() <= direct.until_ms:
            self._tell_here(direct.connection_id, publication.event, bytes(direct.data))

    # -- what the others are asked -------------------------------------------------------------------------

    async def kick(self, user_id: str) -> int:
        """Make all instances close what a user has open; return the number of connections elsewhere.

        Raises BrokerUnavailableError when the other instances could not be reached.
        """
        elsewhere = await self.user_connections.count_elsewhere(user_id)
        await self.send(Kick(user_id))
        return elsewhere

    async def refresh_stream(self, connection_id: str, principal: Principal) -> bool:
        """Refresh the token of an event stream on another instance; return whether that instance lives.

        Raises BrokerUnavailableError when it could not be reached.
        """
        if not self._is_elsewhere(connection_id):
            return False
        await self.send(Refresh(connection_id, principal))
        return True

    def tell(self, connection_id: str, event: str, data: bytes) -> asyncio.Future[Published] | None:
        """Send an event to a connection of another instance; None when no such instance lives."""
        if not self._is_elsewhere(connection_id):
            return None
        now_ms = self._clock.wall_ms()
        direct = encode_direct(Direct(connection_id, now_ms + MAX_AGE_MS, Raw(data)))
        return self._broker.publish(channel_of(instance_of(connection_id)), event, direct, time_ms=now_ms)

    def _is_elsewhere(self, connection_id: str) -> bool:
        """Whether the instance that gave this name is another one, and lives."""
        return instance_of(connection_id) in self.membership.alive - {self._coordinator.instance_id}

    async def send(self, command: Command) -> None:
        """Send a command to all instances. Raises BrokerUnavailableError."""
        data, time_ms = encode_command(command), self._clock.wall_ms()
        await self._broker.publish(CHANNEL, EVENT, data, key=None, time_ms=time_ms)
