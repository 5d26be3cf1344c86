"""Announcements to the members of a room on this instance: who joined, left, is typing."""

from __future__ import annotations

from rtcli.protocol.messages import (
    PresenceData,
    UserJoined,
    UserLeft,
    UserTyping,
    UserTypingData,
    encode,
    user_id_to_wire,
)
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel

MAX_PENDING_BYTES = 65_536  # of announcements that are kept for one join


class TypingIndicator:
    """A user who is typing in a room: a timer until it is stopped, or stops by itself."""

    __slots__ = ("_announcements", "name", "room", "slot", "user_id")

    def __init__(self, announcements: Announcements, room: str, user_id: str, name: str) -> None:
        self._announcements = announcements
        self.room = room
        self.user_id = user_id
        self.name = name
        self.slot = 0

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Announce that typing has stopped, since the client did not."""
        self._announcements.typing_expired(self)


class PendingJoin:
    """A user who is joining a room: `texts` collects what is announced in the room meanwhile.

    A user who takes very long gets the first of it: ephemeral events are dropped first.
    """

    __slots__ = ("_size", "room", "texts", "user_id")

    def __init__(self, room: str, user_id: str) -> None:
        self.room = room
        self.user_id = user_id
        self.texts: list[bytes] = []
        self._size = 0

    def add(self, text: bytes) -> None:
        """Keep a text, up to a limit."""
        self._size += len(text)
        if self._size <= MAX_PENDING_BYTES:
            self.texts.append(text)


class Announcements:
    """Sends ephemeral events to the subscriptions of rooms on this instance."""

    def __init__(
        self, fanout: Fanout, occupancy: Occupancy, wheel: TimerWheel, clock: Clock, *, typing_s: float
    ) -> None:
        self._fanout = fanout
        self._occupancy = occupancy
        self._wheel = wheel
        self._clock = clock
        self._typing_s = typing_s
        self._typing: dict[tuple[str, str], TypingIndicator] = {}
        self._pending_joins: dict[str, list[PendingJoin]] = {}

    # -- joining -------------------------------------------------------------------------------------------

    def begin_join(self, room: str, user_id: str) -> PendingJoin:
        """Collect what is announced in a room until `end_join`.

        The list of members that a joining user gets is older than the end of the join.
        """
        pending = PendingJoin(room, user_id)
        self._pending_joins.setdefault(room, []).append(pending)
        return pending

    def end_join(self, pending: PendingJoin) -> None:
        """Stop collecting announcements for this join. A second call does nothing."""
        joins = self._pending_joins.get(pending.room, [])
        if pending in joins:
            joins.remove(pending)
            if not joins:
                del self._pending_joins[pending.room]

    # -- members -------------------------------------------------------------------------------------------

    def user_joined(self, room: str, user_id: str, name: str) -> None:
        """Announce a user who is new in the deployment's room."""
        data = PresenceData(user_id=user_id_to_wire(user_id), name=name, room=room)
        self._announce(room, user_id, encode(UserJoined(data=data, timestamp=self._clock.timestamp())))

    def user_left(self, room: str, user_id: str, name: str) -> None:
        """Announce that a user has left the deployment's room."""
        self._stop_typing(room, user_id)
        data = PresenceData(user_id=user_id_to_wire(user_id), name=name, room=room)
        self._announce(room, user_id, encode(UserLeft(data=data, timestamp=self._clock.timestamp())))

    def _announce(self, room: str, about: str, text: bytes) -> None:
        """Send to everyone in the room but the user whom it is about."""
        own = tuple(self._occupancy.subscriptions_of(room, about))
        self._fanout.announce(ROOM_PREFIX + room, text, exclude=own)
        for pending in self._pending_joins.get(room, ()):
            if pending.user_id != about:
                pending.add(text)

    # -- typing --------------------------------------------------------------------------------------------

    def user_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Announce that a user is typing, which ends by itself after a while, or has stopped."""
        indicator = self._typing.get((room, user_id))
        if is_typing:
            if indicator is None:
                indicator = self._typing[room, user_id] = TypingIndicator(self, room, user_id, name)
            self._wheel.schedule(indicator, self._clock.now() + self._typing_s)
        elif indicator is not None:
            self._stop_typing(room, user_id)
        self._announce_typing(room, user_id, name, is_typing=is_typing)

    def typing_expired(self, indicator: TypingIndicator) -> None:
        """Announce the end of typing that the client did not end."""
        del self._typing[indicator.room, indicator.user_id]
        self._announce_typing(indicator.room, indicator.user_id, indicator.name, is_typing=False)

    def _stop_typing(self, room: str, user_id: str) -> None:
        indicator = self._typing.pop((room, user_id), None)
        if indicator is not None:
            self._wheel.cancel(indicator)

    def _announce_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        data = UserTypingData(user_id=user_id_to_wire(user_id), name=name, room=room, is_typing=is_typing)
        self._announce(room, user_id, encode(UserTyping(data=data, timestamp=self._clock.timestamp())))
