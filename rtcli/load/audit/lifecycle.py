"""The lifecycle of senders and memberships: the half of the audit that records what users do."""

from __future__ import annotations

from rtcli.load.audit.membership import Membership, Outage
from rtcli.load.audit.records import Subscriber
from rtcli.load.audit.room import Room
from rtcli.load.audit.sender_log import FAILED, SenderLog
from rtcli.load.audit.token import digest_of, encode_token
from rtcli.protocol.position import Position

LOGS_PER_WORKER = 1 << 18


class Lifecycle:
    """The sender logs, rooms and memberships of one worker.

    `run` is the number of the run, and `base` its start (µs), which the times in tokens count from.
    """

    def __init__(self, run: int, base: int, *, worker: int = 0) -> None:
        self.run = run
        self.base = base
        self.worker = worker
        self.rooms: dict[str, Room] = {}
        self.logs: dict[int, SenderLog] = {}  # by number; those of other workers' senders, too
        self.subscribers = 0  # number of users who have been in a room
        self.sent = 0  # number of messages
        self.acknowledged = 0
        self._next_log = worker * LOGS_PER_WORKER
        self._by_code: dict[int, str] = {}  # names of rooms by the codes in tokens
        self._ending: list[Membership] = []

    def room(self, name: str) -> Room:
        """The room of this name, created when it is new."""
        found = self.rooms.get(name)
        if found is None:
            found = self.rooms[name] = Room(name)
            self._by_code.setdefault(found.code, name)
        return found

    # -- sending -------------------------------------------------------------------------------------------

    def open_log(self, publisher: str, room: str, *, acked: bool = True) -> SenderLog:
        """Start the log of a publisher's messages to a room over one connection.

        `acked`: they ask for an acknowledgement.
        """
        log = SenderLog(self._next_log, publisher, room, code=self.room(room).code, acked=acked)
        self._next_log += 1
        own = (other for other in self.room(room).logs if other.publisher == publisher)
        log.earlier = sum(len(other.sent) for other in own)
        self.logs[log.number] = log
        self.room(room).logs.append(log)
        return log

    def send(self, log: SenderLog, intended: int, now: int, rest: str = "") -> tuple[int, bytes]:
        """Record that a message is about to be written: a token and `rest`. Returns its number and token."""
        digest = digest_of(rest) if rest else 0
        number = log.append(now)
        self.sent += 1
        token = encode_token(
            self.run,
            log.number,
            number,
            intended - self.base,
            now - intended,
            len(rest),
            digest,
            log.room_code,
        )
        return number, token

    def acknowledge(self, log: SenderLog, number: int, now: int, position: Position | None) -> None:
        """Record the acknowledgement of a message."""
        self.acknowledged += 1
        log.acknowledge(number, now, self.room(log.room).key_of(position))

    def fail(self, log: SenderLog, number: int) -> None:
        """Record that the sender got an error for a message: nobody should receive it."""
        log.acks[number] = FAILED

    # -- memberships ---------------------------------------------------------------------------------------

    def join(
        self,
        user: Subscriber,
        room: str,
        now: int,
        *,
        counts: dict[int, int],
        history: bool = False,
    ) -> Membership:
        """Record a join request. The room's messages are expected once the join is confirmed (`joined`)."""
        entered = self.room(room)
        member = Membership(user.name, room, now, after=entered.tail, counts=counts, history=history)
        entered.enter(member)
        member.connection = user.connection
        user.memberships[room] = member
        self.subscribers += not user.is_known
        user.is_known = True
        return member

    def joined(self, member: Membership, now: int) -> None:
        """Record the confirmation of a join. What others have received by now is not expected."""
        member.joined = now
        if member.cursor.key == member.start_key:
            member.start_after(self.rooms[member.room].tail)

    def leaving(self, member: Membership, now: int) -> None:
        """Record a leave request: messages sent from now on are not expected, whatever follows it.

        A goodbye while the answer is on its way asks for nothing new: the server may have let the user out.
        """
        if member.leaving is None:
            member.leaving = now

    def left(self, user: Subscriber, member: Membership, now: int) -> None:
        """Record the confirmation of a leave: a delivery from now on is a leak."""
        self._end(user, member, now, "left")

    def lost(self, member: Membership, now: int, *, dropped: bool = False) -> None:
        """Record the loss of the connection; the user may reconnect and resume.

        `dropped`: the server ended it after the phases, unasked, when it only had to deliver what it had.
        """
        if member.lost is None:
            member.lost, member.dropped = now, dropped

    def resumed(self, user: Subscriber, member: Membership, now: int) -> None:
        """Record a resume in which the server promised all messages that were missed."""
        if member.lost is not None:
            last = member.cursor
            outage = Outage(last.key, last.identity, last.sent, member.lost, now)
            member.outages = [*(member.outages or ()), outage]
        member.lost, member.dropped = None, False
        member.connection = user.connection

    def not_recovered(self, user: Subscriber, member: Membership, now: int) -> Membership:
        """Record a reconnect without the messages that were missed; returns the new membership."""
        self._end(user, member, now, "declared")
        new = self.join(user, member.room, now, counts=member.counts)
        new.joined = now
        new.leaving = member.leaving  # a pending leave request applies to the new membership, too
        return new

    def gap_declared(self, member: Membership, after: Position, until: Position) -> None:
        """Record that the server said that the messages after one position, up to another, will not come."""
        room = self.rooms[member.room]
        low, high = room.key_of(after), room.key_of(until)
        if low is not None and high is not None:
            member.gaps = [*(member.gaps or ()), (low, high)]

    def given_up(self, user: Subscriber, member: Membership, now: int) -> None:
        """Record that the user will not resume this membership."""
        self._end(user, member, now if member.lost is None else member.lost, "lost")

    def _end(self, user: Subscriber, member: Membership, now: int, end: str) -> None:
        member.ended = now
        member.end = end
        if end == "left" and member.leaving is None:
            member.leaving = now
        if user.memberships.get(member.room) is member:
            del user.memberships[member.room]
        self._ending.append(member)
