"""What the logs have in common that only one process can use: nobody else is told, and nothing gets lost."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from rtcli.protocol.position import USER_PREFIX
from rtcli_server.broker.base import Broker, Deliver, ReportLost, UserWatcher, guarded
from rtcli_server.broker.coordinator import Coordinator, OnNotification


class OneProcessBroker(Broker):
    """Delivers, while it runs, what is appended to channels that are subscribed, and tells of users' ones."""

    def __init__(self) -> None:
        self._subscribed: set[str] = set()
        self._deliver: Deliver | None = None  # while it runs
        self._users: UserWatcher | None = None
        self._closed = asyncio.Event()

    @property
    @override
    def coordinator(self) -> Coordinator | None:
        return None

    @override
    def subscribe(self, channel: str) -> None:
        self._subscribed.add(channel)

    @override
    def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)

    @override
    async def run(
        self,
        deliver: Deliver,
        lost: ReportLost | None = None,
        on_notification: OnNotification | None = None,
        users: UserWatcher | None = None,
    ) -> None:
        """Deliver until `close`; nothing is ever lost here."""
        self._deliver, self._users = guarded(deliver), users
        try:
            await self._closed.wait()
        finally:
            self._deliver = self._users = None

    def _tell_watcher(self, channel: str) -> None:
        if self._users is not None and channel.startswith(USER_PREFIX):
            self._users.published(channel)
