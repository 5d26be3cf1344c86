"""What happens in rooms: joining, leaving, losing a connection, typing.

A lost connection keeps its user present for a grace period, so that nobody sees a user leave who comes back
within it. Leaving on request takes effect at once.
"""

from __future__ import annotations

from rtcli.protocol.messages import MemberInfo, user_id_to_wire
from rtcli_server.delivery.channel import Subscription
from rtcli_server.delivery.fanout import Fanout
from rtcli_server.presence.announcements import Announcements, PendingJoin
from rtcli_server.presence.occupancy import Occupancy
from rtcli_server.presence.service import PresenceService, RoomMembers
from rtcli_server.timing.clock import Clock
from rtcli_server.timing.timer_wheel import TimerWheel


class GracePeriod:
    """The time that a user without connections stays in a room. A timer."""

    __slots__ = ("_rooms", "room", "slot", "user_id")

    def __init__(self, rooms: Rooms, room: str, user_id: str) -> None:
        self._rooms = rooms
        self.room = room
        self.user_id = user_id
        self.slot = 0

    def on_timer(self, now: float) -> None:  # noqa: ARG002 - the interface of Timer
        """Take the user out, who has not come back."""
        self._rooms.grace_expired(self)


class Rooms:
    """All rooms with users on this instance.

    Announcements come back from the presence service, because all instances of the deployment get them.
    """

    def __init__(
        self,
        *,
        fanout: Fanout,
        occupancy: Occupancy,
        announcements: Announcements,
        presence: PresenceService,
        wheel: TimerWheel,
        clock: Clock,
        grace_s: float,
    ) -> None:
        self._fanout = fanout
        self._occupancy = occupancy
        self._announcements = announcements
        self._presence = presence
        self._wheel = wheel
        self._clock = clock
        self._grace_s = grace_s
        self._graces: dict[tuple[str, str], GracePeriod] = {}

    # -- joining -------------------------------------------------------------------------------------------

    def begin_join(self, room: str, user_id: str) -> PendingJoin:
        """Collect what is announced in a room until `end_join`."""
        return self._announcements.begin_join(room, user_id)

    def end_join(self, pending: PendingJoin) -> None:
        """Stop collecting announcements for this join."""
        self._announcements.end_join(pending)

    async def enter(self, room: str, user_id: str, name: str, subscription: Subscription) -> RoomMembers:
        """Add a connection, announce its user if that is new in the room, and return who is there then.

        Raises BrokerUnavailableError; the connection is added all the same.
        """
        self._cancel_grace(room, user_id)
        if self._occupancy.add(room, user_id, name, subscription):
            return await self._presence.enter(room, user_id, name)
        return await self._presence.members(room)

    # -- leaving -------------------------------------------------------------------------------------------

    def leave(self, room: str, user_id: str, subscription: Subscription) -> None:
        """Take out a connection whose client left; when it was its user's last one here, announce that."""
        self._fanout.write_pending(subscription)
        self._fanout.close(subscription)
        if self._occupancy.discard(room, user_id, subscription):
            self._remove(room, user_id)

    def lose(self, room: str, user_id: str, subscription: Subscription) -> None:
        """Take out a connection that was lost; its user stays for the grace period."""
        self._fanout.close(subscription)
        if self._occupancy.discard(room, user_id, subscription):
            grace = self._graces[room, user_id] = GracePeriod(self, room, user_id)
            self._wheel.schedule(grace, self._clock.now() + self._grace_s)

    def grace_expired(self, grace: GracePeriod) -> None:
        """Take out a user who has not come back."""
        del self._graces[grace.room, grace.user_id]
        self._remove(grace.room, grace.user_id)

    def _cancel_grace(self, room: str, user_id: str) -> None:
        grace = self._graces.pop((room, user_id), None)
        if grace is not None:
            self._wheel.cancel(grace)

    def _remove(self, room: str, user_id: str) -> None:
        name = self._occupancy.remove(room, user_id)
        self._presence.leave(room, user_id, name)

    # -- typing --------------------------------------------------------------------------------------------

    def set_typing(self, room: str, user_id: str, name: str, *, is_typing: bool) -> None:
        """Announce typing to the other users of a room, on all instances."""
        self._presence.send_typing(room, user_id, name, is_typing=is_typing)
        self._announcements.user_typing(room, user_id, name, is_typing=is_typing)

    # -- questions -----------------------------------------------------------------------------------------

    async def members(self, room: str) -> tuple[tuple[MemberInfo, ...], int]:
        """The first 200 users of a room, and their total number. Raises BrokerUnavailableError."""
        members = await self._presence.members(room)
        return member_infos(members), members.total

    def here(self) -> dict[str, int]:
        """Number of users on this instance, of every room that has some."""
        return self._occupancy.rooms()

    async def counts(self) -> dict[str, int]:
        """Number of users of every room that has some. Raises BrokerUnavailableError."""
        return await self._presence.counts()


def member_infos(members: RoomMembers) -> tuple[MemberInfo, ...]:
    """Users of a room as messages carry them."""
    return tuple(MemberInfo(user_id_to_wire(user_id), name) for user_id, name in members.users)
