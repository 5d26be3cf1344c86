"""What a chat has of its server: the WebSocket client, and the history over HTTP."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import Connection
from rtcli.client.events import ClientEvent, Message
from rtcli.client.history import read_history
from rtcli.client.http import make_http
from rtcli.client.websocket import RealtimeClient, WebSocketTarget
from rtcli.protocol.paths import WEBSOCKET_PATH

_HISTORY_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class ServerAccess:
    """One server, for a chat on a screen, line by line or in a pipe."""

    connection: Connection
    wait_s: float | None  # how long to keep trying the first connection

    def make_client(
        self, on_event: Callable[[ClientEvent], None], *, measure_every_s: float | None = None
    ) -> RealtimeClient:
        """Make the client. Call it inside the event loop."""
        connection = self.connection
        target = WebSocketTarget(
            url=connection.endpoint.ws_url(WEBSOCKET_PATH),
            where=connection.endpoint.authority,
            token=connection.token,
            ssl=connection.ssl_context(),
            headers=tuple(connection.headers),
            use_proxy=not connection.endpoint.is_loopback,
        )
        return RealtimeClient(
            target,
            reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=self.wait_s),  # noqa: S311 - jitter
            id_prefix=secrets.token_hex(5),
            on_event=on_event,
            measure_every_s=measure_every_s,
        )

    async def read_history(self, room: str, limit: int) -> list[Message]:
        """Read the last `limit` messages of a room over HTTP. Raises CliError."""
        connection = self.connection
        endpoint = connection.endpoint
        async with make_http(
            endpoint, tls=connection.tls, headers=connection.headers, read_timeout_s=_HISTORY_TIMEOUT_S
        ) as http:
            return await read_history(
                http,
                endpoint.base,
                where=endpoint.authority,
                token=connection.token(),
                room=room,
                limit=limit,
            )
