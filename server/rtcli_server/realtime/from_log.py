"""Where each thing goes that comes from the log: to fan-out, to the deployment, to dormant connections."""

from __future__ import annotations

from rtcli.protocol.publication import Publication
from rtcli_server.broker import Broker, Deliver, Lost, UserWatcher
from rtcli_server.cluster import control
from rtcli_server.cluster.deployment import Deployment
from rtcli_server.cluster.revocations import Revocations
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.timing.tasks import Spawn


class FromLog:
    """`deployment` is None for a server that is alone."""

    def __init__(
        self,
        broker: Broker,
        fanout: Fanout,
        users: UserWatcher,
        deployment: Deployment | None,
        revocations: Revocations,
        *,
        spawn: Spawn,
    ) -> None:
        self._broker = broker
        self._fanout = fanout
        self._users = users
        self._deployment = deployment
        self._revocations = revocations
        self._spawn = spawn

    async def run(self) -> None:
        """Take what the log delivers, until it is closed."""
        deployment = self._deployment
        on_notification = None if deployment is None else deployment.on_notification
        await self._broker.run(self._deliver(), self._lost, on_notification, self._users)

    def _deliver(self) -> Deliver:
        deployment, deliver = self._deployment, self._fanout.deliver
        if deployment is None:
            return deliver
        channels = deployment.channels

        def deliver_or_handle(publication: Publication) -> None:
            if publication.channel not in channels:
                deliver(publication)
                return
            is_command = publication.channel == control.CHANNEL
            if is_command and self._revocations.misses_before(publication.position):
                self._spawn(self._revocations.reannounce())
            deployment.on_publication(publication)

        return deliver_or_handle

    def _lost(self, lost: Lost) -> None:
        if lost.channel == control.CHANNEL:
            self._spawn(self._revocations.reannounce())  # commands are among what is lost
        else:
            self._fanout.lost(lost.channel, lost.position)
