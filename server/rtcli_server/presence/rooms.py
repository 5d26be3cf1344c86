"""What happens in rooms: joining with resume, leaving, typing, and who hears of it."""

from __future__ import annotations

from rtcli.protocol.messages import (
    MemberInfo,
    PresenceData,
    UserJoined,
    UserLeft,
    UserTyping,
    UserTypingData,
    encode,
    user_id_to_wire,
)
from rtcli.protocol.position import ROOM_PREFIX
from rtcli_server.delivery.channel import Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.presence.local import Occupant, Presence
from rtcli_server.presence.service import Attendance, Attendees, LocalAttendance
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel


class Typist:
    """A user who is writing in a room: on the wheel until it stops, or is stopped."""

    __slots__ = ("_rooms", "name", "room", "slot", "user_id")

    def __init__(self, rooms: Rooms, room: str, user_id: str, name: str) -> None:
        self._rooms = rooms
        self.room = room
        self.user_id = user_id
        self.name = name
        self.slot = 0

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Say that it stopped, since the client did not."""
        self._rooms.stop_typing(self)


class Arrival:
    """Somebody who is joining: what is announced meanwhile is kept for it."""

    __slots__ = ("notices", "room", "user_id")

    def __init__(self, room: str, user_id: str) -> None:
        self.room = room
        self.user_id = user_id
        self.notices: list[bytes] = []


class Rooms:
    """All rooms with members on this instance.

    What is announced comes back from the attendance: with several instances, all of them hear it.
    """

    def __init__(
        self,
        *,
        fanout: Fanout,
        wheel: TimerWheel,
        clock: Clock,
        presence_grace_s: float,
        typing_s: float,
    ) -> None:
        self._fanout = fanout
        self._wheel = wheel
        self._clock = clock
        self._typing_s = typing_s
        self._typists: dict[tuple[str, str], Typist] = {}
        self._arrivals: dict[str, list[Arrival]] = {}
        self.presence = Presence(wheel, grace_s=presence_grace_s, on_left=self._gone_from_here)
        self.attendance: Attendance = LocalAttendance(
            self.presence, on_joined=self.user_joined, on_left=self.user_left
        )

    # -- joining -------------------------------------------------------------------------------------------

    def arrive(self, room: str, user_id: str) -> Arrival:
        """Keep what is announced in a room until `arrived`, for one who was told its members before that."""
        arrival = Arrival(room, user_id)
        self._arrivals.setdefault(room, []).append(arrival)
        return arrival

    def arrived(self, arrival: Arrival) -> None:
        """End that."""
        waiting = self._arrivals[arrival.room]
        waiting.remove(arrival)
        if not waiting:
            del self._arrivals[arrival.room]

    async def enter(self, room: str, user_id: str, name: str, subscription: Subscription) -> Attendees:
        """Count a subscription in, have its user announced if that is new, and give who is there then.

        Raises BrokerUnavailableError; the subscription is counted in all the same.
        """
        if self.presence.enter(room, user_id, name, subscription):
            return await self.attendance.enter(room, user_id, name)
        return await self.attendance.members(room)

    async def members(self, room: str) -> tuple[tuple[MemberInfo, ...], int]:
        """The first 200 users of a room, and how many there are. Raises BrokerUnavailableError."""
        found = await self.attendance.members(room)
        return shown(found), found.total

    def here(self) -> dict[str, int]:
        """Every room that has users on this instance, with their number."""
        return self.presence.rooms()

    async def counts(self) -> dict[str, int]:
        """Every room that has users, with their number. Raises BrokerUnavailableError."""
        return await self.attendance.counts()

    # -- leaving -------------------------------------------------------------------------------------------

    def leave(self, room: str, user_id: str, subscription: Subscription) -> None:
        """Take out a subscription whose client left; when it was its user's last one here, announce that."""
        self._fanout.write_pending(subscription)
        self._fanout.close(subscription)
        occupant = self.presence.leave(room, user_id, subscription)
        if occupant is not None:
            self._gone_from_here(occupant)

    def lose(self, room: str, user_id: str, subscription: Subscription) -> None:
        """Take a subscription out whose connection was lost; its user is kept for the grace period."""
        self._fanout.close(subscription)
        self.presence.lose(room, user_id, subscription, self._clock.now())

    def _gone_from_here(self, occupant: Occupant) -> None:
        self.attendance.leave(occupant.room, occupant.user_id, occupant.name)

    # -- announcing ----------------------------------------------------------------------------------------

    def user_joined(self, room: str, user_id: str, name: str) -> None:
        """Tell the members here of a user who is new in the deployment."""
        data = PresenceData(user_id=user_id_to_wire(user_id), name=name, room=room)
        self._announce(room, user_id, encode(UserJoined(data=data, timestamp=self._clock.timestamp())))

    def user_left(self, room: str, user_id: str, name: str) -> None:
        """Tell the members here of a user who has left the deployment's room."""
        self._forget_typing(room, user_id)
        data = PresenceData(user_id=user_id_to_wire(user_id), name=name, room=room)
        self._announce(room, user_id, encode(UserLeft(data=data, timestamp=self._clock.timestamp())))

    def _announce(self, room: str, about: str, text: bytes) -> None:
        """Send to all members but those of the user whom it is about."""
        own = tuple(self.presence.subscriptions_of(room, about))
        self._fanout.announce(ROOM_PREFIX + room, text, exclude=own)
        for arrival in self._arrivals.get(room, ()):
            if arrival.user_id != about:
                arrival.notices.append(text)

    # -- typing --------------------------------------------------------------------------------------------

    def set_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Tell the other users of a room, on all instances."""
        self.attendance.tell_typing(room, user_id, name, is_typing=is_typing)
        self.show_typing(room, user_id, name, is_typing=is_typing)

    def show_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Tell those on this instance; `is_typing` ends by itself after a while."""
        typist = self._typists.get((room, user_id))
        if is_typing:
            if typist is None:
                typist = self._typists[room, user_id] = Typist(self, room, user_id, name)
            self._wheel.schedule(typist, self._clock.now() + self._typing_s)
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
            self._wheel.cancel(typist)

    def _announce_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        data = UserTypingData(user_id=user_id_to_wire(user_id), name=name, room=room, is_typing=is_typing)
        self._announce(room, user_id, encode(UserTyping(data=data, timestamp=self._clock.timestamp())))


def shown(found: Attendees) -> tuple[MemberInfo, ...]:
    """Users as messages carry them."""
    return tuple(MemberInfo(user_id_to_wire(user_id), name) for user_id, name in found.users)
