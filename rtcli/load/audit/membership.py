"""A subscriber's stay in a room: a pointer into the room's order, and what is not as it should be."""

from __future__ import annotations

from typing import NamedTuple

from rtcli.load.audit.entry import Entry
from rtcli.load.metrics.histogram import bucket_index


class Away(NamedTuple):
    """A stretch without a connection that a resume bridged; `key` is the place reached before it."""

    key: int
    lost: int
    back: int


class Membership:
    """A subscriber's stay in a room, from asking to join to leaving; a resume continues it.

    `after` is the last entry of the room's order when it asks. `counts` is where its deliveries are counted:
    by the entry's delivery key plus the bucket of their latency.
    """

    __slots__ = (
        "asked",
        "aways",
        "connection",
        "counts",
        "cursor",
        "damaged",
        "early",
        "end",
        "ended",
        "gaps",
        "history",
        "joined",
        "leaving",
        "lost",
        "missing",
        "room",
        "start_key",
        "tail",
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
        self.history = history  # older messages were asked for, and may come
        self.counts = counts
        self.connection = ""
        self.begin(after)
        self.joined: int | None = None
        self.leaving: int | None = None
        self.lost: int | None = None  # when the connection broke; None again after a resume
        self.ended: int | None = None
        self.end = ""  # left; lost; declared (what was missed will not come); open (to the end of the run)
        self.missing: dict[int, int] = {}  # passed over: key by id
        self.tail: dict[int, int] = {}  # after the last one received, when it ended without a leave
        self.early: dict[int, int] | None = None  # received although not after `start_key`
        self.damaged: tuple[int, ...] = ()  # came damaged
        self.aways: list[Away] | None = None
        self.gaps: list[tuple[int, int]] | None = None  # keys (after, to) that the server said will not come

    def begin(self, after: Entry) -> None:
        """Expect what comes behind this entry, the last that anybody in the room has received."""
        self.cursor = after
        self.start_key = after.key

    @property
    def is_in(self) -> bool:
        """Whether the subscriber is in the room now, as far as it knows."""
        return self.joined is not None and self.lost is None and self.leaving is None

    def take(self, entry: Entry, now: int) -> None:
        """Take the delivery of the entry that is next; the crowds do the same in place."""
        self.cursor = entry
        entry.last = now
        self.counts[entry.delivery_key + bucket_index(now - entry.intended)] += 1

    def miss(self, entry: Entry) -> None:
        """Note that an entry appeared at a place which this membership has passed already."""
        if entry.key > self.start_key:
            self.missing[entry.identity] = entry.key
            entry.holes += 1

    def advance(self, entry: Entry) -> int:
        """Move to an entry ahead; what lies between is missing. Returns how many that are."""
        skipped = 0
        at = self.cursor.next
        while at is not None and at is not entry:
            self.missing[at.identity] = at.key
            at.holes += 1
            skipped += 1
            at = at.next
        self.cursor = entry
        return skipped

    def has_early(self, identity: int) -> bool:
        """Whether it received the message although that was not after its start."""
        return self.early is not None and identity in self.early

    def mark_early(self, identity: int, key: int) -> None:
        """Note that it received such a message."""
        if self.early is None:
            self.early = {}
        self.early[identity] = key

    def received(self, identity: int, key: int) -> bool:
        """Whether the message with this key was delivered to this membership."""
        if self.has_early(identity):
            return True
        passed = self.start_key < key <= self.cursor.key
        return passed and identity not in self.missing and identity not in self.damaged

    def release(self) -> None:
        """Let go of the chain, after the end: note what came after the last one received and concerns it."""
        at = self.cursor.next
        while at is not None:
            self._note_rest(at)
            at = at.next
        last = self.cursor
        self.cursor = Entry(last.key, last.identity, last.token, intended=last.left, position=last.position)

    @property
    def until(self) -> int:
        """Messages sent later than this do not concern it any more."""
        ended = self.ended or 0
        return ended if self.leaving is None else min(self.leaving, ended)

    def miss_late(self, entry: Entry) -> None:
        """Note, after the release, an entry that was seen by others only now."""
        if entry.key > self.cursor.key:
            self._note_rest(entry)
        else:
            self.miss(entry)

    def _note_rest(self, entry: Entry) -> None:
        if entry.left <= self.until:
            into = self.missing if self.end in {"left", "open"} else self.tail
            into[entry.identity] = entry.key
            entry.holes += 1
