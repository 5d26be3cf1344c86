"""Who sends and who is where: the half of the audit that follows what users do."""

from __future__ import annotations

from rtcli.load.audit.membership import Away, Membership
from rtcli.load.audit.records import Subscriber
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, Stream
from rtcli.load.audit.token import encode_token
from rtcli.protocol.position import Position

STREAMS_PER_WORKER = 1 << 18


class Roster:
    """Streams, rooms and memberships of one worker. `base` is the start of the run; tokens count from it."""

    def __init__(self, run: int, base: int, *, worker: int = 0) -> None:
        self.run = run
        self.base = base
        self.worker = worker
        self.rooms: dict[str, Room] = {}
        self.streams: dict[int, Stream] = {}
        self.subscribers = 0  # users who have been in a room
        self.sent = 0
        self.acknowledged = 0
        self._next_stream = worker * STREAMS_PER_WORKER
        self._ending: list[Membership] = []

    def room(self, name: str) -> Room:
        """The room of this name."""
        found = self.rooms.get(name)
        if found is None:
            found = self.rooms[name] = Room(name)
        return found

    # -- sending -------------------------------------------------------------------------------------------

    def stream(self, publisher: str, room: str, *, wants_acks: bool) -> Stream:
        """Begin the messages of a publisher to a room over a connection."""
        stream = Stream(self._next_stream, publisher, room, wants_acks=wants_acks)
        self._next_stream += 1
        own = (other for other in self.room(room).streams if other.publisher == publisher)
        stream.earlier = sum(len(other.sent) for other in own)
        self.streams[stream.number] = stream
        self.room(room).streams.append(stream)
        return stream

    def send(self, stream: Stream, intended: int, now: int) -> tuple[int, bytes]:
        """Note that a message is about to be written. Returns its number and its token."""
        number = stream.append(now)
        self.sent += 1
        return number, encode_token(self.run, stream.number, number, intended - self.base, now - intended)

    def acknowledge(self, stream: Stream, number: int, now: int, position: Position | None) -> None:
        """Note the acknowledgement of a message."""
        self.acknowledged += 1
        stream.acknowledge(number, now, self.room(stream.room).key_of(position))

    def fail(self, stream: Stream, number: int) -> None:
        """Note that the sender got an error for a message: nobody should receive it."""
        stream.acks[number] = FAILED

    # -- coming and going ----------------------------------------------------------------------------------

    def join(
        self,
        user: Subscriber,
        room: str,
        now: int,
        *,
        counts: dict[int, int],
        history: bool = False,
    ) -> Membership:
        """Note that a user asks to join a room. Its messages are expected from `joined` on."""
        entered = self.room(room)
        member = Membership(user.name, room, now, after=entered.tail, counts=counts, history=history)
        entered.enter(member)
        member.connection = user.connection
        user.memberships[room] = member
        self.subscribers += not user.is_known
        user.is_known = True
        return member

    def joined(self, member: Membership, now: int) -> None:
        """Note the confirmation of a join. What others have received by now was sent before it."""
        member.joined = now
        if member.cursor.key == member.start_key:
            member.begin(self.rooms[member.room].tail)

    def leaving(self, member: Membership, now: int) -> None:
        """Note the start of a leave: what is sent from now on is not expected any more."""
        member.leaving = now

    def left(self, user: Subscriber, member: Membership, now: int) -> None:
        """Note the confirmation of a leave: what comes from now on is a leak."""
        self._end(user, member, now, "left")

    def lost(self, member: Membership, now: int) -> None:
        """Note that the connection is gone; the user may come back and resume."""
        if member.lost is None:
            member.lost = now

    def resumed(self, user: Subscriber, member: Membership, now: int) -> None:
        """Note that the server said that everything missed while away will come."""
        if member.lost is not None:
            member.aways = [*(member.aways or ()), Away(member.cursor.key, member.lost, now)]
        member.lost = None
        member.connection = user.connection

    def declared(self, user: Subscriber, member: Membership, now: int) -> Membership:
        """Note that the server said that what was missed while away will not come; returns the new stay."""
        self._end(user, member, now, "declared")
        new = self.join(user, member.room, now, counts=member.counts)
        new.joined = now
        new.leaving = member.leaving  # a leave that was asked for meanwhile holds for the new stay as well
        return new

    def gap(self, member: Membership, after: Position, until: Position) -> None:
        """Note that the server said that the messages after one position up to another will not come."""
        room = self.rooms[member.room]
        low, high = room.key_of(after), room.key_of(until)
        if low is not None and high is not None:
            member.gaps = [*(member.gaps or ()), (low, high)]

    def gone(self, user: Subscriber, member: Membership, now: int) -> None:
        """Note that a lost connection will not be resumed."""
        self._end(user, member, now if member.lost is None else member.lost, "lost")

    def _end(self, user: Subscriber, member: Membership, now: int, end: str) -> None:
        member.ended = now
        member.end = end
        if end == "left" and member.leaving is None:
            member.leaving = now
        if user.memberships.get(member.room) is member:
            del user.memberships[member.room]
        self._ending.append(member)
