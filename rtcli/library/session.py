"""What is behind a client: its connection from beginning to end, and who is told of what happens."""

from __future__ import annotations

import random
import secrets
import time

from rtcli.client.backoff import Reconnect
from rtcli.client.connection import WebSocketTarget
from rtcli.client.events import (
    Acked,
    ClientEvent,
    Connected,
    Direct,
    Event,
    JoinRefused,
    Left,
    Message,
    Presence,
    Rejected,
    RoundTrip,
    TypingChanged,
)
from rtcli.client.websocket import RealtimeClient
from rtcli.library.access import Access
from rtcli.library.acknowledgements import Acknowledgements
from rtcli.library.distribution import Distribution
from rtcli.library.errors import RefusedError, not_confirmed
from rtcli.library.http_requests import HttpRequests
from rtcli.library.lifetime import Lifetime
from rtcli.protocol.paths import WEBSOCKET_PATH

EVENTS = "~events"  # the channel of personal and broadcast events, among those of rooms


class Session:
    """One client: the engine, its task, its readers, and the texts without an answer."""

    def __init__(self, access: Access, *, wait_s: float, events: bool, cursor: str) -> None:
        self.access = access
        self.http = HttpRequests(access)
        self.acknowledgements = Acknowledgements()
        self.id_prefix = secrets.token_hex(5)
        self.engine = RealtimeClient(
            WebSocketTarget(
                url=access.endpoint.ws_url(WEBSOCKET_PATH),
                where=access.endpoint.authority,
                token=access.token,
                ssl=access.context,
                headers=access.headers,
                proxy=access.proxy,
            ),
            reconnect=Reconnect(random.Random(), started=time.monotonic(), wait_s=wait_s),  # noqa: S311 - jitter
            id_prefix=self.id_prefix,
            on_event=self._on_event,
            events=events,
            cursor=cursor,
        )
        self.distribution: Distribution[ClientEvent] = Distribution(
            channel_of=_channel_of, is_ephemeral=_is_ephemeral, hold=self._hold, resume=self._resume
        )
        self.user_id: int | str | None = None
        self.lifetime = Lifetime(self.engine.run, explain=access.explained, on_over=self._on_over)

    async def close(self) -> None:
        """Say good-bye and close everything, also when this is cancelled."""
        try:
            await self.lifetime.close(self.engine.close if self.engine.state.connected else None)
        finally:
            await self.http.close()

    def _on_over(self, error: Exception | None) -> None:
        self.distribution.end(error)
        why = "the client was closed" if error is None else str(error)
        self.acknowledgements.settle_all(lambda identifier: not_confirmed(why, identifier))

    # -- what happens --------------------------------------------------------------------------------------

    def _on_event(self, event: ClientEvent) -> None:
        match event:
            case Connected():
                self.user_id = event.user_id
                self.lifetime.opened()
            case Acked():
                self.acknowledgements.settle(event.id, event)
            case Rejected():
                self.acknowledgements.settle(event.id, RefusedError(event.message, code=event.code))
        self.distribution.deliver(event)
        match event:
            case JoinRefused():
                refused = RefusedError(f"not let into #{event.room}: {event.message}", code=event.code)
                self.distribution.end(refused, event.room)
            case Left(forced=True):
                left = RefusedError(f"the server has ended the stay in #{event.room}", code="left")
                self.distribution.end(left, event.room)

    def _hold(self, channel: str) -> None:
        if channel == EVENTS:
            self.engine.state.hold_events()
        else:
            self.engine.state.hold(channel)

    def _resume(self, channel: str) -> None:
        if channel == EVENTS:
            self.engine.renew()
        else:
            self.engine.resume(channel)


def _channel_of(event: ClientEvent) -> str | None:
    match event:
        case Message():
            return event.room
        case Event():
            return EVENTS
    return None


def _is_ephemeral(event: ClientEvent) -> bool:
    return isinstance(event, Presence | TypingChanged | RoundTrip | Direct)
