"""A room's one order of messages, and the memberships that point into it.

The order is a chain: each entry knows the next. A membership holds the entry that it received last, and what
it expects now is that entry's `next`; when it is just that, one comparison of bytes settles a delivery. So a
subscriber costs a pointer, and entries that everybody has passed are freed by themselves. What is out of
order is kept beside: `missing` are the places that were passed over.

Where a message belongs is its *key*. If the protocol tells positions (epoch and offset), the key follows
them. If not, it is the order of first arrival, corrected by what is certain: the numbers of a publisher.
"""

from __future__ import annotations

from collections import deque

from rtcli.load.audit.entry import Entry
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.sender_log import Stream
from rtcli.protocol.position import Position

_STEP_BITS = 16  # room for entries between two positions
_FREE_BITS = 36  # the same between two that have no positions
_STRIDE = 1 << 18
_LATE_BITS = 8
_NEAR = 1_000  # numbers of a stream that are looked at around one
_OFFSET_BITS = 36
_MIDDLE = 1 << (_OFFSET_BITS - 1)
_MAX_EPOCH = 126


class Room:
    """One room's order."""

    __slots__ = (
        "_epochs",
        "_late",
        "_origins",
        "memberships",
        "name",
        "ordered",
        "recent",
        "released",
        "released_key",
        "released_until",
        "streams",
        "tail",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.tail = Entry(1, -1)
        self.ordered = False  # whether the protocol tells positions
        self.streams: list[Stream] = []
        self.memberships: list[Membership] = []  # those that point into the chain
        self.released: list[Membership] = []  # those that have ended and let go of it
        self.released_key = 0  # the furthest place that one of these has reached
        self.released_until = 0  # the latest time of sending that still concerns one of these
        self.recent: deque[Entry] = deque()  # not yet passed by everybody
        self._late = 0
        self._epochs: dict[str, int] = {}
        self._origins: dict[str, int] = {}

    def key_of(self, position: Position | None) -> int | None:
        """The key of a position; None when there is none, or none that makes sense."""
        if position is None:
            return None
        epoch = self._epochs.setdefault(position.epoch, len(self._epochs) + 1)
        offset = position.offset - self._origins.setdefault(position.epoch, position.offset) + _MIDDLE
        if not 0 <= offset < 1 << _OFFSET_BITS or epoch > _MAX_EPOCH:
            return None
        self.ordered = True
        return ((epoch << _OFFSET_BITS) | offset) << _STEP_BITS

    def position_of(self, key: int) -> Position | None:
        """The position that a key stands for; None when it was not made from one."""
        number, offset = key >> (_OFFSET_BITS + _STEP_BITS), (key >> _STEP_BITS) & ((1 << _OFFSET_BITS) - 1)
        epoch = next((name for name, own in self._epochs.items() if own == number), None)
        if epoch is None or key & ((1 << _STEP_BITS) - 1):
            return None
        return Position(epoch, offset - _MIDDLE + self._origins[epoch])

    def key_after(self, member: Membership, stream: Stream, number: int, sent: int) -> int:
        """The key of a message without a position, first seen by this membership.

        Others may have received messages behind the place where it stands. Those came before this one if
        they had them before this was sent, or if the membership does not wait for them anyway; after it
        otherwise, as long as nothing says that one was lost. In any case it belongs behind the lower numbers
        of its stream, and before the higher ones.
        """
        before = member.cursor
        since = min(sent, member.joined or sent)
        near = slice(max(0, number - _NEAR), number)
        above = stream.top_key if number > stream.top_number else max(stream.keys[near], default=0)
        while (entry := before.next) is not None and (
            entry.seen <= sent or entry.left < since or entry.key <= above
        ):
            before = entry
        later = min((key for key in stream.keys[number + 1 : number + _NEAR] if key), default=0)
        if later and later <= before.key:
            return self._key_before(later, max((key for key in stream.keys[near] if key < later), default=0))
        after = 0 if before.next is None else before.next.key
        if later and (not after or later < after):
            after = later
        return _between(before.key, after) if after else ((before.key >> _FREE_BITS) + 1) << _FREE_BITS

    def _key_before(self, later: int, above: int) -> int:
        """A key of its own before one that has been passed already, and above another."""
        self._late += 1
        key = later - (self._late << _LATE_BITS)
        return key if key > above else (above + later) // 2

    def enter(self, member: Membership) -> None:
        """Take in a membership; it points into the chain until it is released."""
        self.memberships.append(member)

    def release(self, member: Membership) -> None:
        """Let a membership that has ended go of the chain."""
        member.release()
        self.memberships.remove(member)
        self.released.append(member)
        self.released_key = max(self.released_key, member.cursor.key)
        self.released_until = max(self.released_until, member.until)

    def is_taken(self, key: int, member: Membership) -> bool:
        """Whether a message stands at this place that not everybody has passed, or that the member is at."""
        return key == member.cursor.key or any(entry.key == key for entry in self.recent)

    def insert(self, entry: Entry) -> None:
        """Put an entry where its key belongs; memberships that are past that place have missed it so far."""
        self.recent.append(entry)
        if entry.left <= self.released_until or entry.key < self.released_key:
            for membership in self.released:
                membership.miss_late(entry)
        if entry.key > self.tail.key:
            self.tail.next = entry
            self.tail = entry
        else:
            self._insert_behind(entry)

    def _insert_behind(self, entry: Entry) -> None:
        before: Entry | None = None
        for membership in self.memberships:
            cursor = membership.cursor
            if cursor.key > entry.key:
                membership.miss(entry)
            elif before is None or cursor.key > before.key:
                before = cursor
        while before is not None and before.next is not None and before.next.key < entry.key:
            before = before.next
        if before is not None:
            entry.next, before.next = before.next, entry

    def passed(self) -> list[Entry]:
        """Take out the entries that every membership has passed, oldest first."""
        if not self.recent:
            return []
        lowest = min((membership.cursor.key for membership in self.memberships), default=self.tail.key)
        taken = []
        while self.recent and self.recent[0].key <= lowest:
            taken.append(self.recent.popleft())
        return taken


def _between(lower: int, upper: int) -> int:
    """A key between two, near the lower one: what follows mostly belongs behind it."""
    return min(lower + _STRIDE, (lower + upper) // 2)
