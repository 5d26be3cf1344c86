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

from collections.abc import Iterator

from rtcli.client.conversation.ephemeral import ephemeral_events
from rtcli.client.conversation.event_channels import EventChannels, read_cursor
from rtcli.client.conversation.own_ids import OwnIds
from rtcli.client.conversation.reconnection import Reconnection
from rtcli.client.conversation.refreshing import Refreshing
from rtcli.client.conversation.room import Room
from rtcli.client.conversation.rooms import Rooms
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
from rtcli.protocol.position import ROOM_PREFIX, Position, fitting, format_cursor
from rtcli.protocol.rooms import nfc

DEFAULT_RETRY_S = 1.0
_TRY_AGAIN = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL})


class ClientState:
    """The state of one client over all its connections.

    The driver passes in each message that arrives, then sends what `take_outgoing()` returns.
    """

    def __init__(self, *, id_prefix: str, cursor: str = "") -> None:
        self._ids = OwnIds(id_prefix)
        self._starts = read_cursor(cursor)  # where rooms that were not joined yet go on
        self._events = EventChannels(self._starts)
        self._rooms = Rooms()
        self._refreshing = Refreshing()
        self._outgoing: list[mine.ClientMessage] = []
        self._reconnection = Reconnection()
        self._ping: tuple[str, float] | None = None
        self.connected = False
        self.connection_id = ""  # of the present connection, or the last one
        self.retry_after_s: float | None = None  # from `closing`
        self.token_expiring = False

    # -- what the user does --------------------------------------------------------------------------------

    @property
    def rooms(self) -> list[str]:
        """The rooms that the user has joined, in the order of `join()`."""
        return list(self._rooms)

    def unacknowledged(self) -> Iterator[tuple[str, str]]:
        """(room, content) of every text without an acknowledgement, oldest first per room."""
        return self._rooms.unacknowledged()

    @property
    def unsent(self) -> int:
        """Number of texts without an acknowledgement."""
        return self._rooms.unsent

    @property
    def settled(self) -> bool:
        """Whether every room is joined and everything from before the join has been delivered."""
        return self._rooms.settled

    def position(self, room: str) -> Position | None:
        """The position of the last publication of that room that was delivered."""
        known = self._rooms.get(nfc(room))
        return None if known is None else known.last_delivered

    @property
    def cursor(self) -> str:
        """Up to where everything was delivered, for any transport; as many rooms as a cursor holds."""
        return format_cursor(fitting([*self._events.positions.items(), *self._rooms.positions()]))

    @property
    def events_cursor(self) -> str:
        """The part of the cursor that a handshake gives: each join says by itself where its room goes on."""
        return format_cursor(self._events.positions)

    def join(self, room: str, *, history: int = 0, since: Position | None = None) -> None:
        """Join `room` now and after reconnections.

        The first time with what followed on `since`, or else with the last `history` publications.
        """
        room = nfc(room)
        if room not in self._rooms:
            start = self._starts.pop(ROOM_PREFIX + room, None) if since is None else since
            self._rooms[room] = Room(room, history, last_delivered=start)
            if self.connected:
                self._send_join(self._rooms[room])

    def leave(self, room: str) -> None:
        """Leave `room`. Its unacknowledged texts are dropped."""
        room = nfc(room)
        gone = self._rooms.pop(room, None)
        self._reconnection.done(room)
        if gone is not None and self.connected:
            self._outgoing.append(mine.LeaveRoom(mine.RoomData(room), id=self._ids.next("l")))

    def send(self, room: str, content: str, identifier: str | None = None) -> str:
        """Queue a text for a joined room; returns the id of its acknowledgement. Raises KeyError.

        `identifier` is the id to take, for instance that of an attempt without an answer.
        """
        joined = self._rooms[nfc(room)]
        identifier = self._ids.next("c") if identifier is None else self._ids.remember(identifier)
        joined.add(identifier, content)
        self._pump(joined)
        return identifier

    def withdraw(self, identifier: str) -> None:
        """Wait for no acknowledgement of this text any more, and do not send it (again)."""
        found = self._rooms.find(identifier)
        if found is not None:
            room, text = found
            room.texts.remove(text)
            self._pump(room)

    def hold(self, room: str) -> None:
        """The user of this room is behind: deliver nothing of it, and read it from the log later."""
        if room in self._rooms:
            self._rooms[room].held = True

    def resume(self, room: str) -> None:
        """The user of this room goes on."""
        known = self._rooms.get(room)
        if known is not None and known.held:
            known.rereading = True
            if known.joined:
                self._send_join(known)

    def hold_events(self) -> None:
        """The user of personal and broadcast events is behind: the next connection goes on with them."""
        self._events.held = True

    def typing(self, room: str, *, is_typing: bool) -> None:
        """Announce that we type or stopped. Not queued: ignored while the room is not joined."""
        known = self._rooms.get(nfc(room))
        if known is not None and known.joined:
            self._outgoing.append(mine.Typing(mine.TypingData(known.name, is_typing)))

    def ping(self, now: float) -> None:
        """Start measuring the round trip."""
        if self.connected:
            self._ping = (self._ids.next("p"), now)
            self._outgoing.append(mine.Ping(id=self._ping[0]))

    def refresh(self, token: str) -> None:
        """Send a new token for this connection."""
        self.token_expiring = False
        self._outgoing.append(self._refreshing.begin(token, self._ids.next("t")))

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
            return self._on_room_joined(message.data, now)
        return self._on_room_left(message.data.room)

    def _on_room_joined(self, data: theirs.RoomJoinedData, now: float) -> list[ClientEvent]:
        room = self._rooms.get(data.room)
        if room is None:
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

    # -- what is sent --------------------------------------------------------------------------------------

    def _send_join(self, room: Room) -> None:
        room.join_id = self._ids.next("j")
        since = None if room.last_delivered is None else str(room.last_delivered)
        history = 0 if room.ever_joined else room.history
        self._outgoing.append(mine.JoinRoom(mine.JoinData(room.name, since, history), id=room.join_id))

    def _pump(self, room: Room) -> None:
        text = room.take_next()
        if text is not None:
            self._outgoing.append(mine.ChatMessage(mine.ChatData(room.name, text.content), id=text.id))

    def _pumped(self, room: Room, events: list[ClientEvent]) -> list[ClientEvent]:
        self._pump(room)
        return events


def _wait_s(data: theirs.ErrorData) -> float:
    return DEFAULT_RETRY_S if data.retry_after_ms is None else max(0, data.retry_after_ms) / 1000
