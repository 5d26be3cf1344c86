"""Several instances as one deployment: assembled here for `Realtime` when the log has a coordinator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

from rtcli.protocol.position import CONTROL, ROOM_PREFIX
from rtcli.protocol.publication import Publication
from rtcli_server.auth.claims import Principal
from rtcli_server.broker import Broker, Coordinator, Notification
from rtcli_server.cluster.control import (
    EVENT,
    Command,
    Kick,
    Refresh,
    UnknownCommandError,
    decode_command,
    encode_command,
)
from rtcli_server.cluster.heartbeat import Neighbours
from rtcli_server.cluster.membership import Census
from rtcli_server.cluster.presence import SharedAttendance
from rtcli_server.cluster.user_connections import Crowd, SharedRates
from rtcli_server.connections.hub import Hub
from rtcli_server.presence.rooms import Rooms
from rtcli_server.timing.clock import Clock

SETTLE_S = 0.5
_log = logging.getLogger(__name__)


class Deployment:
    """The other instances, as the parts of this one need them.

    `linger_s`: how long the users of an instance that ends count as being about to come back; `obey`: does
    what another instance, or this one, asked of all of them.
    """

    def __init__(
        self,
        broker: Broker,
        coordinator: Coordinator,
        hub: Hub,
        rooms: Rooms,
        clock: Clock,
        *,
        user_connections: int | None,
        lease_s: float,
        linger_s: float,
        refuse: Callable[[str], None],
        obey: Callable[[Command], None],
        rng: Random,
    ) -> None:
        self._broker = broker
        self._coordinator = coordinator
        self._rooms = rooms
        self._hub = hub
        self._clock = clock
        self._linger_s = linger_s
        self._obey = obey
        self.census = Census()
        self._attendance = SharedAttendance(
            coordinator, rooms.presence, self.census, spawn=hub.spawn, now=clock.now
        )
        self._crowd = Crowd(
            coordinator,
            self.census,
            limit=user_connections,
            here=hub.caps.of_user,
            refuse=refuse,
            users=hub.users,
            spawn=hub.spawn,
        )
        rooms.attendance = self._attendance
        hub.crowd = self._crowd
        coordinator.on_notification = self._hear
        self._neighbours = Neighbours(
            coordinator,
            self.census,
            [self._attendance.say_again, self._crowd.say_again],
            lease_s=lease_s,
            now=clock.now,
            rng=rng,
        )

    async def run(self, rates: SharedRates | None) -> None:
        """Live among the others until cancelled."""
        self._broker.subscribe(CONTROL)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._neighbours.run())
            if rates is not None:
                group.create_task(self._settle(rates))

    async def _settle(self, rates: SharedRates) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            rates.settle(self._clock.now)

    async def leave(self) -> None:
        """Say goodbye."""
        await self._neighbours.leave(self._linger_s)

    # -- what the others tell ------------------------------------------------------------------------------

    def _hear(self, channel: str, notification: Notification) -> None:
        room = channel.removeprefix(ROOM_PREFIX)
        if notification.kind == "joined":
            self._rooms.user_joined(room, notification.user, notification.name)
        elif notification.kind == "typing":
            if notification.by != self._coordinator.instance_id:
                self._rooms.show_typing(
                    room, notification.user, notification.name, is_typing=notification.is_typing
                )
        elif not self._attendance.repair(room, notification.user):
            self._rooms.user_left(room, notification.user, notification.name)

    # -- what the others are asked -------------------------------------------------------------------------

    async def kick(self, user_id: str) -> int:
        """Have all other instances close what a user has open; return how many that were.

        Raises BrokerUnavailableError when they could not be told.
        """
        elsewhere = await self._crowd.elsewhere(user_id)
        await self._ask(Kick(user_id))
        return elsewhere

    async def refresh_stream(self, connection_id: str, principal: Principal) -> bool:
        """Have the instance that a stream is on let it go on; return whether that instance lives.

        Raises BrokerUnavailableError when it could not be told.
        """
        instance = connection_id.partition("-")[0]
        if instance not in self.census.alive - {self._coordinator.instance_id}:
            return False
        await self._ask(Refresh(connection_id, principal))
        return True

    async def _ask(self, command: Command) -> None:
        data, time_ms = encode_command(command), self._clock.wall_ms()
        await self._broker.publish(CONTROL, EVENT, data, key=None, time_ms=time_ms)

    def controlled(self, publication: Publication) -> None:
        """Do what the control channel says; what is not known is passed over."""
        try:
            self._obey(decode_command(publication.data))
        except UnknownCommandError as error:
            _log.warning("the control channel asks for something unknown: %s", error)
