"""What happens in rooms: joining with resume, leaving, typing, and who hears of it."""

from __future__ import annotations

from server.channel import Member
from server.clock import Clock
from server.fanout import Fanout
from server.presence import Occupant, Presence
from server.protocol.messages import (
    MAX_MEMBERS,
    MemberInfo,
    PresenceData,
    UserJoined,
    UserLeft,
    UserTyping,
    UserTypingData,
    encode,
    user_id_to_wire,
)
from server.protocol.position import ROOM_PREFIX
from server.wheel import Wheel


class Typist:
    """A user who is writing in a room: on the wheel until it stops, or is stopped."""

    __slots__ = ("_rooms", "name", "room", "slot", "user_id")

    def __init__(self, rooms: Rooms, room: str, user_id: str, name: str) -> None:
        self._rooms = rooms
        self.room = room
        self.user_id = user_id
        self.name = name
        self.slot = 0

    def due(self, now: float) -> None:  # noqa: ARG002 - the wheel's interface
        """Say that it stopped, since the client did not."""
        self._rooms.stop_typing(self)


class Rooms:
    """All rooms with members on this instance."""

    def __init__(
        self,
        *,
        fanout: Fanout,
        wheel: Wheel,
        clock: Clock,
        presence_grace_s: float,
        typing_s: float,
    ) -> None:
        self._fanout = fanout
        self._wheel = wheel
        self._clock = clock
        self._typing_s = typing_s
        self._typists: dict[tuple[str, str], Typist] = {}
        self.presence = Presence(wheel, grace_s=presence_grace_s, on_left=self._announce_left)

    # -- joining -------------------------------------------------------------------------------------------

    def enter(self, room: str, user_id: str, name: str, member: Member) -> None:
        """Count a member in, and announce its user if that is new."""
        if self.presence.enter(room, user_id, name, member):
            data = PresenceData(user_id=user_id_to_wire(user_id), name=name, room=room)
            text = encode(UserJoined(data=data, timestamp=self._clock.timestamp()))
            self._fanout.announce(ROOM_PREFIX + room, text, exclude=(member,))

    def members(self, room: str) -> tuple[tuple[MemberInfo, ...], int]:
        """The first 200 users of a room, and how many there are."""
        occupants, count = self.presence.occupants(room, MAX_MEMBERS)
        return tuple(MemberInfo(user_id_to_wire(o.user_id), o.name) for o in occupants), count

    def counts(self) -> dict[str, int]:
        """Every room that has users, with their number."""
        return self.presence.rooms()

    # -- leaving -------------------------------------------------------------------------------------------

    def leave(self, room: str, user_id: str, member: Member) -> None:
        """Take a member out that asked for it; announce its user if that was its last connection here."""
        self._fanout.finish(member)
        self._fanout.close(member)
        occupant = self.presence.leave(room, user_id, member)
        if occupant is not None:
            self._announce_left(occupant)

    def lose(self, room: str, user_id: str, member: Member) -> None:
        """Take a member out whose connection was lost; its user is kept for the grace period."""
        self._fanout.close(member)
        self.presence.lose(room, user_id, member, self._clock.now())

    def _announce_left(self, occupant: Occupant) -> None:
        self._forget_typing(occupant.room, occupant.user_id)
        data = PresenceData(user_id=user_id_to_wire(occupant.user_id), name=occupant.name, room=occupant.room)
        text = encode(UserLeft(data=data, timestamp=self._clock.timestamp()))
        self._fanout.announce(ROOM_PREFIX + occupant.room, text)

    # -- typing --------------------------------------------------------------------------------------------

    def set_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Tell the other users of a room; `is_typing` ends by itself after a while."""
        typist = self._typists.get((room, user_id))
        if is_typing:
            if typist is None:
                typist = self._typists[room, user_id] = Typist(self, room, user_id, name)
            self._wheel.put(typist, self._clock.now() + self._typing_s)
        elif typist is not None:
            self._forget_typing(room, user_id)
        self._announce_typing(room, user_id, name, is_typing=is_typing)

    def stop_typing(self, typist: Typist) -> None:
        """End what the client did not end."""
        del self._typists[typist.room, typist.user_id]
        self._announce_typing(typist.room, typist.user_id, typist.name, is_typing=False)

    def _forget_typing(self, room: str, user_id: str) -> None:
        typist = self._typists.pop((room, user_id), None)
        if typist is not None:
            self._wheel.remove(typist)

    def _announce_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        data = UserTypingData(user_id=user_id_to_wire(user_id), name=name, room=room, is_typing=is_typing)
        text = encode(UserTyping(data=data, timestamp=self._clock.timestamp()))
        own = tuple(self.presence.members_of(room, user_id))
        self._fanout.announce(ROOM_PREFIX + room, text, exclude=own)
