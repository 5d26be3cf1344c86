"""What the user of a client asks for, and can ask about, whether it is connected or not. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.client.conversation.event_channels import EventChannels, read_cursor
from rtcli.client.conversation.own_ids import OwnIds
from rtcli.client.conversation.reconnection import Reconnection
from rtcli.client.conversation.refreshing import Refreshing
from rtcli.client.conversation.room import Room
from rtcli.client.conversation.rooms import Rooms
from rtcli.protocol.messages import client as mine
from rtcli.protocol.position import ROOM_PREFIX, Position, fitting, format_cursor
from rtcli.protocol.rooms import nfc


class UserSide:
    """The part of a client's state that its user changes; `state.ClientState` is the whole."""

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
        known = self._rooms.get(room)
        if known is not None:
            known.seen = known.seen if known.held else known.last_delivered
            known.held, known.rereading = True, False

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
