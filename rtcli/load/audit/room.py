"""The order of a room's messages, and the memberships that point into it.

The order is a chain: each entry links to the next. A membership holds the entry that it received last, and
expects that entry's `next`; when that comes, one comparison of bytes settles the delivery. So a subscriber
costs one pointer, and entries that everybody has passed are freed by themselves. Exceptions are kept beside
the chain: `missing` holds the messages that a membership went past without receiving them.

The position of a message in the order is its *key*. If the protocol gives positions (epoch and offset), keys
follow them. If not, the key is the order of first arrival, corrected by what is certain: the numbers in a
sender log.
"""

from __future__ import annotations

from collections import deque

from rtcli.load.audit.entry import Entry
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.sender_log import SenderLog
from rtcli.load.audit.token import room_code
from rtcli.protocol.position import Position

_STEP_BITS = 16  # space for entries between two positions
_FREE_BITS = 36  # the same between two entries without positions
_STRIDE = 1 << 18
_LATE_BITS = 8
_NEAR = 1_000  # how many numbers of a log before and after one are looked at
_OFFSET_BITS = 36
_MIDDLE = 1 << (_OFFSET_BITS - 1)
_MAX_EPOCH = 126


class Room:
    """The order of one room, and its memberships."""

    __slots__ = (
        "_epochs",
        "_late",
        "_origins",
        "code",
        "logs",
        "memberships",
        "name",
        "ordered",
        "recent",
        "released",
        "released_key",
        "released_until",
        "tail",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.code = room_code(name)  # as tokens tell it
        self.tail = Entry(1, -1)
        self.ordered = False  # whether a position was given: then keys follow positions
        self.logs: list[SenderLog] = []
        self.memberships: list[Membership] = []  # those that point into the chain
        self.released: list[Membership] = []  # those that have ended and no longer point into it
        self.released_key = 0  # the highest key that one of these has reached
        self.released_until = 0  # messages sent after this time concern none of these
        self.recent: deque[Entry] = deque()  # entries that some membership has not passed yet
        self._late = 0
        self._epochs: dict[str, int] = {}
        self._origins: dict[str, int] = {}

    def key_of(self, position: Position | None) -> int | None:
        """The key of a position; None without a position, or when it is out of the range of keys."""
        if position is None:
            return None
        epoch = self._epochs.setdefault(position.epoch, len(self._epochs) + 1)
        offset = position.offset - self._origins.setdefault(position.epoch, position.offset) + _MIDDLE
        if not 0 <= offset < 1 << _OFFSET_BITS or epoch > _MAX_EPOCH:
            return None
        self.ordered = True
        return ((epoch << _OFFSET_BITS) | offset) << _STEP_BITS

    def position_of(self, key: int) -> Position | None:
        """The position that a key was made from; None when it was not made from one."""
        number, offset = key >> (_OFFSET_BITS + _STEP_BITS), (key >> _STEP_BITS) & ((1 << _OFFSET_BITS) - 1)
        epoch = next((name for name, own in self._epochs.items() if own == number), None)
        if epoch is None or key & ((1 << _STEP_BITS) - 1):
            return None
        return Position(epoch, offset - _MIDDLE + self._origins[epoch])

    def key_after(self, member: Membership, log: SenderLog, number: int, sent: int) -> int:
        """The key of a message without a position that this membership is the first to receive.

        Others may have received messages behind the membership's cursor. Such a message belongs before this
        one if it was received before this one was sent, or if it does not concern the membership anyway; else
        it belongs behind it, as long as nothing shows that it was lost. In any case this one belongs behind
        the lower numbers of its log, and before the higher ones; higher ones that were sent before it were
        invented by the server.
        """
        before = member.cursor
        since = min(sent, member.joined or sent)
        near, next_ones = slice(max(0, number - _NEAR), number), slice(number + 1, number + _NEAR)
        above = log.top_key if number > log.top_number else max(log.keys[near], default=0)
        while (entry := before.next) is not None and (
            entry.first_seen <= sent or entry.sent < since or entry.key <= above
        ):
            before = entry
        behind = zip(log.keys[next_ones], log.sent[next_ones], strict=True)
        later = min((key for key, at in behind if key and at >= sent), default=0)
        if later and later <= before.key:
            return self._key_before(later, max((key for key in log.keys[near] if key < later), default=0))
        after = 0 if before.next is None else before.next.key
        if later and (not after or later < after):
            after = later
        return _between(before.key, after) if after else ((before.key >> _FREE_BITS) + 1) << _FREE_BITS

    def _key_before(self, later: int, above: int) -> int:
        """An unused key just below `later`, which memberships have passed already, and above `above`."""
        self._late += 1
        key = later - (self._late << _LATE_BITS)
        return key if key > above else (above + later) // 2

    def enter(self, member: Membership) -> None:
        """Add a membership, which points into the chain until it is released."""
        self.memberships.append(member)

    def release(self, member: Membership) -> None:
        """Release a membership that has ended from the chain."""
        member.release()
        self.memberships.remove(member)
        self.released.append(member)
        self.released_key = max(self.released_key, member.cursor.key)
        self.released_until = max(self.released_until, member.until)

    def is_taken(self, key: int, member: Membership) -> bool:
        """Whether the key belongs to the member's cursor, or to an entry that somebody has not passed yet."""
        return key == member.cursor.key or any(entry.key == key for entry in self.recent)

    def insert(self, entry: Entry) -> None:
        """Insert an entry where its key belongs; memberships beyond it have missed it so far."""
        self.recent.append(entry)
        if entry.sent <= self.released_until or entry.key < self.released_key:
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

    def take_passed(self) -> list[Entry]:
        """Remove the entries that every membership has passed, and return them, oldest first."""
        if not self.recent:
            return []
        lowest = min((membership.cursor.key for membership in self.memberships), default=self.tail.key)
        taken = []
        while self.recent and self.recent[0].key <= lowest:
            taken.append(self.recent.popleft())
        return taken


def _between(lower: int, upper: int) -> int:
    """A key between two, near the lower one, since what follows mostly belongs behind it."""
    return min(lower + _STRIDE, (lower + upper) // 2)
