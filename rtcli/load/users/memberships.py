"""The rooms of a user: the edges of each membership, recorded in the audit at the moment they happen.

They are recorded in the callback that brings them, so that a frame behind them in the same read is judged
rightly.
"""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.load.adapters.interface import Gap, Joined
from rtcli.load.audit.membership import Membership
from rtcli.load.users.context import UserContext
from rtcli.protocol.position import Position

_RECOVERY = {True: "recovered", False: "not recovered", None: "nothing said of what was missed"}


class Memberships:
    """A user's memberships by room. Times are microseconds of the monotonic clock."""

    def __init__(self, user: UserContext) -> None:
        self.recovered: bool | None = None  # what the server said of the last resume, for all rooms together
        self.began_anew = False  # the last resume could bring nothing back
        self._user = user
        self._audit = user.worker.audit
        self._subscriber = user.subscriber
        self._by_room = user.subscriber.memberships
        self._positions: dict[str, Position | None] = {}  # of rooms at their last join

    def __iter__(self) -> Iterator[Membership]:
        """All memberships, in a copy: recording the end of one removes it."""
        return iter(list(self._by_room.values()))

    def get(self, room: str) -> Membership | None:
        """The membership in a room, whether it is confirmed or not."""
        return self._by_room.get(room)

    def request(self, room: str, *, websocket: bool, history: bool = False) -> Membership:
        """Record that the user asks to enter a room. `history`: earlier messages may come, too."""
        counts = self._user.recorders.deliveries(room, websocket=websocket)
        now = self._user.worker.now()
        return self._audit.join(self._subscriber, room, now, counts=counts, history=history)

    def confirm(self, event: Joined, now: int) -> None:
        """Record that the server let the user into a room: for the first time, or again after a loss."""
        member = self._by_room.get(event.room)
        if member is None:
            return
        self._positions[event.room] = event.position
        if member.joined is None:
            self._audit.joined(member, now)
            recorder = self._user.recorders.get("join_ack")
            recorder.record(self._user.worker.bin_key(now), now - member.asked)
            self._subscriber.note(now, f"joined {event.room}")
        elif member.lost is not None:
            self._confirm_resume(event, member, now)

    def confirm_anew(self, event: Joined, now: int) -> None:
        """The same where the server cannot know of an earlier membership: nothing missed is expected."""
        member = self._by_room.get(event.room)
        if member is None or member.lost is None:
            self.confirm(event, now)
            return
        self._positions[event.room] = event.position
        self._subscriber.note(now, f"joined {event.room} anew: there was no event id to resume from")
        self.recovered, self.began_anew = False, True
        self._audit.given_up(self._subscriber, member, now)
        member = self._audit.join(self._subscriber, event.room, now, counts=member.counts)
        self._audit.joined(member, now)

    def _confirm_resume(self, event: Joined, member: Membership, now: int) -> None:
        self._subscriber.note(now, f"rejoined {event.room}: {_RECOVERY[event.recovered]}")
        if event.recovered is not None:
            self.recovered = event.recovered and self.recovered is not False
        if event.recovered is False:
            self._audit.not_recovered(self._subscriber, member, now)
        else:  # a server that does not say that something is missing is held to that
            self._audit.resumed(self._subscriber, member, now)

    def declare_gap(self, event: Gap) -> None:
        """Record that the server said that some messages will not come."""
        member = self._by_room.get(event.room)
        if member is not None and event.after is not None and event.until is not None:
            self._audit.gap_declared(member, event.after, event.until)

    def confirm_leave(self, room: str, now: int) -> bool:
        """Record that the server let the user out of a room; False if it had not asked for that."""
        member = self._by_room.get(room)
        if member is None or member.leaving is None:
            return False
        self._audit.left(self._subscriber, member, now)
        return True

    def lose(self, now: int, *, dropped: bool = False) -> None:
        """Record that the connection is lost: unconfirmed memberships end, the others may be resumed.

        `dropped`: by the server, after the phases, although nobody had asked for it.
        """
        for member in self:
            if member.joined is None:
                self._audit.given_up(self._subscriber, member, now)
            else:
                self._audit.lost(member, now, dropped=dropped and member.leaving is None)

    def end_unconfirmed(self, now: int) -> None:
        """Record that no connection came about, so that nothing confirms what was asked with it."""
        for member in self:
            if member.joined is None:
                self._audit.given_up(self._subscriber, member, now)

    def end(self, member: Membership, now: int) -> None:
        """Record that a membership ends without the server's confirmation."""
        self._audit.given_up(self._subscriber, member, now)

    def resume_position(self, member: Membership) -> Position | None:
        """The position after which messages of the room are missed; None when it is not known."""
        if member.cursor.key > member.start_key:
            return member.cursor.position
        start, early = self._positions.get(member.room), member.early_position
        if early is None or (start is not None and start.epoch != early.epoch):
            return start
        # What came before the join was confirmed here, or had come to others by then, has come all the same.
        return early if start is None or early.offset > start.offset else start
