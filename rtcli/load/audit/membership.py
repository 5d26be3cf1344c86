"""A subscriber's membership in a room: a pointer into the room's order, and the exceptions from it."""

from __future__ import annotations

from typing import NamedTuple

from rtcli.load.audit.entry import Entry
from rtcli.load.metrics.histogram import bucket_index
from rtcli.protocol.position import Position


class Outage(NamedTuple):
    """A time without a connection that ended in a resume.

    `key` is the furthest key received before it, `last` the id of that message (-1: none was received), and
    `sent` the time at which it was sent.
    """

    key: int
    last: int
    sent: int
    lost: int
    back: int


class Membership:
    """A subscriber's membership in a room, from its join request to the leave; a resume continues it.

    `asked` is the time of the join request, `after` the last entry of the room's order at that time. `counts`
    counts its deliveries by the entry's delivery key plus the bucket of their latency.
    """

    __slots__ = (
        "asked",
        "connection",
        "counts",
        "cursor",
        "damaged",
        "dropped",
        "early",
        "early_position",
        "end",
        "ended",
        "gaps",
        "history",
        "joined",
        "leaving",
        "lost",
        "missing",
        "outages",
        "received_at",
        "room",
        "start_key",
        "trailing",
        "user",
    )

    def __init__(
        self,
        user: str,
        room: str,
        asked: int,
        *,
        after: Entry,
        counts: dict[int, int],
        history: bool = False,
    ) -> None:
        self.user = user
        self.room = room
        self.asked = asked
        self.history = history  # it asked for older messages, so they may come
        self.counts = counts
        self.connection = ""
        self.start_after(after)
        self.joined: int | None = None
        self.leaving: int | None = None
        self.lost: int | None = None  # when the connection was lost; None again after a resume
        self.dropped = False  # the server ended the connection after the phases, although nobody asked
        self.received_at = 0  # when it received the entry at its cursor
        self.ended: int | None = None
        self.end = ""  # left; lost; declared (the server said that messages are lost); open (the run ended)
        self.missing: dict[int, int] = {}  # messages that it went past without receiving them: key by id
        self.trailing: dict[int, int] = {}  # the same behind the last received, if it ended without a leave
        self.early: dict[int, int] | None = None  # received although not behind `start_key`: key by id
        self.early_position: Position | None = None  # of the last of those
        self.damaged: set[int] | None = None  # ids of messages that came damaged
        self.outages: list[Outage] | None = None
        self.gaps: list[tuple[int, int]] | None = None  # keys (after, to) that will not come

    def start_after(self, entry: Entry) -> None:
        """Expect the entries behind this one, the last that anybody in the room has received."""
        self.cursor = entry
        self.start_key = entry.key

    @property
    def is_in(self) -> bool:
        """Whether the subscriber is in the room now: join confirmed, connected, no leave requested."""
        return self.joined is not None and self.lost is None and self.leaving is None

    def take(self, entry: Entry, now: int) -> None:
        """Count the delivery of the next entry. `WebSocketConnection.on_ws_frame` inlines it."""
        self.cursor = entry
        entry.last_seen = self.received_at = now
        self.counts[entry.delivery_key + bucket_index(now - entry.intended)] += 1

    def miss(self, entry: Entry) -> None:
        """Record as missing an entry that was inserted where this membership has already passed."""
        if entry.key > self.start_key:
            self.missing[entry.identity] = entry.key
            entry.missed_by += 1

    def advance(self, entry: Entry) -> int:
        """Move to an entry further on; those between are missing. Returns the number of those."""
        skipped = 0
        at = self.cursor.next
        while at is not None and at is not entry:
            self.missing[at.identity] = at.key
            at.missed_by += 1
            skipped += 1
            at = at.next
        self.cursor = entry
        return skipped

    def has_early(self, identity: int) -> bool:
        """Whether it received the message although that is not behind its start."""
        return self.early is not None and identity in self.early

    def mark_early(self, identity: int, key: int, position: Position | None) -> None:
        """Record that it received a message that is not behind its start."""
        if self.early is None:
            self.early = {}
        if position is not None and key >= max(self.early.values(), default=0):
            self.early_position = position
        self.early[identity] = key

    def has_damaged(self, identity: int) -> bool:
        """Whether the message came damaged."""
        return self.damaged is not None and identity in self.damaged

    def mark_damaged(self, identity: int) -> None:
        """Record that a message came damaged, so that it is not missing."""
        self.missing.pop(identity, None)
        self.trailing.pop(identity, None)
        if self.damaged is None:
            self.damaged = set()
        self.damaged.add(identity)

    def received(self, identity: int, key: int) -> bool:
        """Whether this membership received the message with this id and key."""
        if self.has_early(identity):
            return True
        passed = self.start_key < key <= self.cursor.key
        return passed and identity not in self.missing and not self.has_damaged(identity)

    def release(self) -> None:
        """Let go of the chain, after the end; record which entries behind the last received concern it."""
        at = self.cursor.next
        while at is not None:
            self._note_rest(at)
            at = at.next
        last = self.cursor
        self.cursor = Entry(last.key, last.identity, last.token, intended=last.sent, position=last.position)

    @property
    def until(self) -> int:
        """Messages sent after this time do not concern it."""
        ended = self.ended or 0
        return ended if self.leaving is None else min(self.leaving, ended)

    def miss_late(self, entry: Entry) -> None:
        """Record, after the release, an entry that others received only now."""
        if entry.key > self.cursor.key:
            self._note_rest(entry)
        else:
            self.miss(entry)

    def _note_rest(self, entry: Entry) -> None:
        if entry.sent <= self.until:
            into = self.missing if self.end in {"left", "open"} else self.trailing
            into[entry.identity] = entry.key
            entry.missed_by += 1
