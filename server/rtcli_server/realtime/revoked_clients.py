"""Closes connections and event streams whose token is revoked, and those of users who have to stay away.

Each client is looked at when it is entered, because its token may have been revoked since it was admitted.
All are looked at after a revocation: once for many, and some in each turn, so that neither many revocations
nor many clients hold the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from typing_extensions import override

from rtcli.protocol.codes import CloseCode
from rtcli_server.auth.claims import Principal
from rtcli_server.auth.revocations import Revocation, RevocationKind, RevokedTokens
from rtcli_server.connections.event_stream import EventStream
from rtcli_server.connections.hub import KICKED, Client, Hub, HubObserver, close_or_cut
from rtcli_server.connections.websocket import Connection

REASON = "revoked"
SWEEP_S = 0.4  # from one look at all clients to the next
CHECKED_AT_ONCE = 20_000
CLOSED_AT_ONCE = 500


class RevokedClients(HubObserver):
    """`hub()` has the clients. `tick` is called with each turn of the timers."""

    def __init__(self, hub: Callable[[], Hub], revoked: RevokedTokens) -> None:
        self._hub = hub
        self._revoked = revoked
        self._due = False
        self._next_at = -inf
        self._unchecked: list[Client] = []

    def enforce(self, revocation: Revocation, *, now: float) -> None:
        """See to it that those are closed whom this is about. `now` is in monotonic seconds."""
        self._due = True
        if revocation.kind is RevocationKind.AWAY:
            self._hub().remember_kick(revocation.subject, now=now)

    @override
    def opened(self, connection: Client) -> None:
        if self._reason_to_close(connection) is not None:
            self._due = True  # not now: its transport is about to greet it

    @override
    def closed(self, connection: Client) -> None:
        pass

    def tick(self, now: float) -> None:
        """Look at some clients, when that is due."""
        if self._due and not self._unchecked and now >= self._next_at:
            self._due = False
            self._next_at = now + SWEEP_S
            self._unchecked = list(self._hub().clients.values())
        if self._unchecked:
            self._check_some()

    def _check_some(self) -> None:
        checked = closed = 0
        while self._unchecked and checked < CHECKED_AT_ONCE and closed < CLOSED_AT_ONCE:
            client = self._unchecked.pop()
            reason = self._reason_to_close(client)
            checked += 1
            if reason is not None and client.connection_id in self._hub().clients:
                closed += 1
                close_or_cut(client, CloseCode.KICKED, reason, None)

    def _reason_to_close(self, client: Client) -> str | None:
        principal = _principal_of(client)
        if principal is None:
            return None
        if self._revoked.covers(principal):
            return REASON
        return KICKED if self._revoked.is_away(principal.user_id) else None


def _principal_of(client: Client) -> Principal | None:
    """Whose token a client has; None for a stream of heartbeats, which needs none."""
    if isinstance(client, Connection):
        rights = client.session.rights
        return rights if isinstance(rights, Principal) else None
    return client.principal if isinstance(client, EventStream) else None
