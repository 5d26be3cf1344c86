"""What is done on all instances of a deployment: here at once, on the others by a command."""

from __future__ import annotations

import asyncio

from rtcli_server.auth.claims import Principal
from rtcli_server.auth.revocations import Revocation, RevocationKind, RevokedTokens
from rtcli_server.broker import Published
from rtcli_server.cluster.control import Command, Kick, Revoke
from rtcli_server.cluster.deployment import Deployment
from rtcli_server.cluster.revocations import Revocations
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.hub import Hub
from rtcli_server.realtime.audience import Audience, Queued
from rtcli_server.timing.clock import Clock


class Commands:
    """`deployment` is None for a server that is alone."""

    def __init__(
        self,
        *,
        hub: Hub,
        audience: Audience,
        revoked: RevokedTokens,
        revocations: Revocations,
        deployment: Deployment | None,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._audience = audience
        self._revoked = revoked
        self._revocations = revocations
        self._deployment = deployment
        self._clock = clock

    async def kick(self, user_id: str, stay_away_s: float) -> int:
        """Close everything that a user has open, on all instances; return the number of connections.

        For `stay_away_s` seconds, the user is not admitted again. Raises BrokerUnavailableError when the
        other instances could not be reached, and TooManyRevocationsError.
        """
        if not stay_away_s:
            return await self._kick(user_id)
        until_ms = self._clock.wall_ms() + int(stay_away_s * 1000)
        away = Revocation(RevocationKind.AWAY, user_id, until_ms)
        self._revocations.check_room(away)
        self._revocations.apply(away)  # here it holds, whatever the log does
        try:
            return await self._kick(user_id)  # first: later there is nobody left to count
        finally:  # also when the others could not be reached: they are told when the log is back
            await self._revocations.revoke(away)

    async def _kick(self, user_id: str) -> int:
        here = self._hub.kick(user_id)
        return here if self._deployment is None else here + await self._deployment.kick(user_id)

    async def refresh_elsewhere(self, connection_id: str, principal: Principal) -> bool:
        """Refresh the token of an event stream on another instance; return whether there may be one.

        Raises BrokerUnavailableError when that instance could not be reached.
        """
        deployment = self._deployment
        return deployment is not None and await deployment.refresh_stream(connection_id, principal)

    def tell(self, connection_id: str, event: str, data: bytes) -> Queued | asyncio.Future[Published] | None:
        """Send an event (`data` is JSON) to one connection, wherever it is; it is ephemeral.

        Returns a future for one on another instance, which fails with BrokerUnavailableError when that could
        not be reached; None when there is no such connection.
        """
        told = self._audience.tell(connection_id, event, data)
        if told is not None or self._deployment is None:
            return told
        return self._deployment.tell(connection_id, event, data)

    def handle(self, command: Command) -> None:
        """Carry out a command that was sent to all instances."""
        if isinstance(command, Kick):
            self._hub.kick(command.user_id)
            self._hub.remember_kick(command.user_id, now=self._clock.now())
        elif isinstance(command, Revoke):
            self._revocations.apply(command.revocation)
        elif not self._revoked.covers(command.principal):
            stream = self._hub.clients.get(command.connection_id)
            if isinstance(stream, EventStream):
                stream.refresh(command.principal)
