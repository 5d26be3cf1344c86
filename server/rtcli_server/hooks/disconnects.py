"""Tells the application who has gone: a few at a time, in order, also when thousands go at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from rtcli_server.hooks.gate import HookGate
from rtcli_server.hooks.interface import Disconnected
from rtcli_server.timing.tasks import Spawn

AT_ONCE = 8
MAX_WAITING = 65_536

_log = logging.getLogger(__name__)


class Gone(Protocol):
    """A client that has gone."""

    @property
    def user_id(self) -> str:
        """Its user."""
        ...

    @property
    def address(self) -> str:
        """Its IP address."""
        ...

    @property
    def transport(self) -> str:
        """`websocket` or `sse`."""
        ...

    @property
    def connection_id(self) -> str:
        """Its name."""
        ...


class Disconnects:
    """Calls the hook `disconnect` for each client that has gone."""

    def __init__(self, gate: HookGate, spawn: Spawn) -> None:
        self._gate = gate
        self._spawn = spawn
        self._waiting: deque[Disconnected] = deque()
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def report(self, client: Gone) -> None:
        """Tell the application soon."""
        if client.user_id == client.connection_id:  # a stream of heartbeats: it is nobody's
            return
        if len(self._waiting) >= MAX_WAITING:
            _log.error("%d clients have gone that the application was not told of yet", MAX_WAITING)
            return
        self._waiting.append(
            Disconnected(
                user_id=client.user_id,
                address=client.address,
                transport=client.transport,
                connection_id=client.connection_id,
            )
        )
        self._idle.clear()
        if self._running < AT_ONCE:
            self._running += 1
            self._spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._gate.disconnect(self._waiting.popleft())
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def finish(self, timeout_s: float) -> None:
        """Wait until the application knows of all, but not longer than that."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            _log.error("the server ends before the application knows of %d disconnects", len(self._waiting))
