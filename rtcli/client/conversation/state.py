"""A client's side of the WebSocket protocol as a state machine: no socket, no clock, no randomness.

Invariants: each publication of a joined room, and each personal or broadcast event, is delivered once and in
order, or reported as missed. Each text is acknowledged, rejected, or still kept. Therefore, after a
reconnection,

1. events go on after the latest that was delivered (the handshake says so), and each room is joined with the
   position of its last one (`since`),
2. replayed publications are delivered; our own among them count as acknowledged,
3. unacknowledged texts are sent again with the same id, which is their idempotency key.

One text per room is in flight at a time: a second one could overtake the first when that is rate limited.
"""

from __future__ import annotations

from rtcli.client.conversation.ephemeral import ephemeral_events
from rtcli.client.conversation.room import Room
from rtcli.client.conversation.user_side import UserSide
from rtcli.client.events import (
    ClientEvent,
    Connected,
    ConnectionWarning,
    JoinRefused,
    Left,
    Rejected,
    RoundTrip,
)
from rtcli.protocol.codes import ErrorCode
from rtcli.protocol.messages import client as mine
from rtcli.protocol.messages import server as theirs
from rtcli.protocol.position import Position

DEFAULT_RETRY_S = 1.0
_TRY_AGAIN = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})


class ClientState(UserSide):
    """The state of one client over all its connections.

    The driver passes in each message that arrives, then sends what `take_outgoing()` returns.
    """

    # -- what happens to the connection --------------------------------------------------------------------

    def take_outgoing(self) -> list[mine.ClientMessage]:
        """Return the messages to send now, and forget them."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def lost(self, now: float) -> None:
        """The connection is lost, or an attempt failed."""
        if self.connected:
            self._reconnection.lost(now)
        self.connected = False
        self._outgoing.clear()
        self._ping = None
        self._refreshing.lost()
        for room in self._rooms.values():
            room.lost()

    def due(self) -> float | None:
        """The time at which `tick` has something to do, or None."""
        waits = [self._refreshing.repeat_at, *(room.wait_until for room in self._rooms.values())]
        return min((at for at in waits if at is not None), default=None) if self.connected else None

    def tick(self, now: float) -> None:
        """Repeat the joins, the texts and the refresh that the server asked us to repeat later."""
        refresh = self._refreshing.take_due(now)
        if refresh is not None:
            self._outgoing.append(refresh)
        for room in self._rooms.values():
            if room.wait_until is not None and room.wait_until <= now:
                room.wait_until = None
                if room.joined and not room.rereading:
                    self._pump(room)
                else:
                    self._send_join(room)

    # -- what arrives --------------------------------------------------------------------------------------

    def receive(self, message: theirs.ServerMessage, now: float) -> list[ClientEvent]:
        """Process a message of the server; returns the events for the user. Unknown messages are ignored."""
        match message:
            case theirs.Connected(data=hello):
                return self._on_connected(hello, now)
            case theirs.RoomJoined() | theirs.RoomLeft():
                return self._on_membership(message, now)
            case theirs.NewMessage() | theirs.Event() | theirs.Ack() | theirs.Gap() | theirs.Skipped():
                return self._on_publication(message)
            case theirs.Error():
                return self._on_error(message, now)
            case theirs.ServerPong(id=identifier) if self._ping is not None and self._ping[0] == identifier:
                return [RoundTrip(now - self._ping[1])]
        self._on_connection(message)
        return ephemeral_events(message)

    def _on_connection(self, message: theirs.ServerMessage) -> None:
        match message:
            case theirs.ServerPing() if mine.Pong() not in self._outgoing:  # one answers all that came
                self._outgoing.append(mine.Pong())
            case theirs.TokenExpiring():
                self.token_expiring = True
            case theirs.Closing(data=closing):
                self.retry_after_s = max(0, closing.retry_after_ms) / 1000

    def _on_connected(self, data: theirs.ConnectedData, now: float) -> list[ClientEvent]:
        if self.connected:  # said again, to nobody's use: our answer to each would wait to be sent
            return []
        self.connected = True
        self.connection_id = data.connection_id
        self.retry_after_s = None
        self.token_expiring = False
        missed = self._events.on_greeting(data)
        first = not self._reconnection.is_pending
        rejoining = [room.name for room in self._rooms.values() if room.ever_joined]
        self._reconnection.begin(rejoining, self._events.following)
        for room in self._rooms.values():
            self._send_join(room)
        if first:
            return [Connected(data.connection_id, data.user_id), *missed]
        return [*self._reconnection.over(now), *missed]

    def _on_publication(
        self, message: theirs.NewMessage | theirs.Event | theirs.Ack | theirs.Gap | theirs.Skipped
    ) -> list[ClientEvent]:
        if isinstance(message, theirs.Event):
            return self._events.on_event(message.data)
        room = self._rooms.get(message.data.room)
        if room is None:
            return self._events.on_other(message.data)
        if isinstance(message, theirs.NewMessage):
            return self._pumped(room, room.on_message(message.data, own=message.data.id in self._ids))
        if isinstance(message, theirs.Gap):
            return self._pumped(room, room.on_gap(message.data))
        if isinstance(message, theirs.Skipped):
            return self._pumped(room, room.on_skipped(message.data))
        ack = message.data
        position = Position(ack.epoch, ack.offset)
        return self._pumped(room, room.acknowledge(message.id, position, duplicate=ack.duplicate))

    def _on_membership(self, message: theirs.RoomJoined | theirs.RoomLeft, now: float) -> list[ClientEvent]:
        if isinstance(message, theirs.RoomJoined):
            return self._on_room_joined(message, now)
        return self._on_room_left(message.data.room)

    def _on_room_joined(self, message: theirs.RoomJoined, now: float) -> list[ClientEvent]:
        data, room = message.data, self._rooms.get(message.data.room)
        if room is None or message.id not in {None, room.join_id}:  # it has been asked again since then
            return []
        self._reconnection.replays(data.replayed if room.ever_joined else 0)
        was_joined = room.joined and room.rereading
        joined, *missed = room.on_joined(data)
        self._reconnection.done(room.name)
        if was_joined:
            return self._pumped(room, missed)
        return self._pumped(room, [joined, *self._reconnection.over(now), *missed])

    def _on_room_left(self, name: str) -> list[ClientEvent]:
        """The answer to `leave`; or, while we are in the room, the server's own decision."""
        room = self._rooms.get(name)
        if room is None or not room.joined:
            return [Left(name)]
        del self._rooms[name]
        code, text = ErrorCode.FORBIDDEN, "Not allowed"
        rejected = [Rejected(one.id, name, one.content, code, text) for one in room.texts]
        return [Left(name, forced=True), *rejected]

    def _on_error(self, message: theirs.Error, now: float) -> list[ClientEvent]:
        """Process an error: the answer to a join, to a text, or to another message."""
        code, text = message.data.code, message.data.message
        again_at = now + _wait_s(message.data)
        if code in _TRY_AGAIN and self._refreshing.put_off(message.id, again_at):
            return []
        joining, found = self._rooms.joined_by(message.id), self._rooms.find(message.id)
        if joining is not None:
            return self._on_join_error(joining, code, text, again_at=again_at, now=now)
        if found is None:
            return [ConnectionWarning(code, text)]
        room, refused = found
        if code in _TRY_AGAIN:
            refused.in_flight = False
            room.wait_until = again_at
            return []
        if code == ErrorCode.NOT_IN_ROOM:
            if room.joined:  # otherwise a join is on its way already
                room.lost()
                self._send_join(room)
            return []
        room.texts.remove(refused)
        return self._pumped(room, [Rejected(refused.id, room.name, refused.content, code, text)])

    def _on_join_error(
        self, room: Room, code: str, text: str, *, again_at: float, now: float
    ) -> list[ClientEvent]:
        if code in _TRY_AGAIN:
            room.wait_until = again_at
            return []
        del self._rooms[room.name]
        self._reconnection.done(room.name)
        rejected = [Rejected(one.id, room.name, one.content, code, text) for one in room.texts]
        return [JoinRefused(room.name, code, text), *rejected, *self._reconnection.over(now)]

    def _pumped(self, room: Room, events: list[ClientEvent]) -> list[ClientEvent]:
        self._pump(room)
        return events


def _wait_s(data: theirs.ErrorData) -> float:
    return DEFAULT_RETRY_S if data.retry_after_ms is None else max(0, data.retry_after_ms) / 1000
