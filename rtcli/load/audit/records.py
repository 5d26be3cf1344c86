"""What the audit records: subscribers, deliveries, and what was seen when a rule was broken."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from rtcli.load.audit.membership import Membership
from rtcli.protocol.position import Position

_KEPT_NOTES = 12
KEPT_BYTES = 400
"""Of a frame that is kept for evidence."""


class Note(NamedTuple):
    """A recent frame of a subscriber, received or sent, or a remark; kept for evidence. `at` in µs."""

    at: int
    direction: str  # in, out, note
    text: bytes


class Subscriber:
    """A user as the audit knows it: the rooms that it is in, and its last 12 notes."""

    __slots__ = ("connection", "counted", "is_known", "memberships", "name", "notes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection = ""  # the id of the connection, as the server gave it
        self.counted = 0  # deliveries that were counted here, and not by the connection's comparison of bytes
        self.is_known = False  # it has been in a room
        self.memberships: dict[str, Membership] = {}
        self.notes: deque[Note] = deque(maxlen=_KEPT_NOTES)

    def note(self, at: int, text: str) -> None:
        """Keep a remark for evidence."""
        self.notes.append(Note(at, "note", text.encode()))


class Delivery(NamedTuple):
    """A message that a subscriber received at `now` (µs), in the frame or event `raw`.

    `token`: the 44 bytes from the mark on, which is at `at` in `raw`. `room` and `position`: None when the
    envelope has none. `frame` or `text` is given when it holds this message alone, so that later deliveries
    can be compared whole. `content`: the message's text, token included; None when the protocol does not say
    what that is.
    """

    user: Subscriber
    room: str | None
    token: bytes
    position: Position | None
    now: int
    raw: bytes
    frame: bytes | None = None
    text: str | None = None
    at: int = 0
    content: str | None = None


class Finding(NamedTuple):
    """A delivery that broke a rule, recorded when it came. `at` in µs."""

    kind: str
    user: str
    room: str
    connection: str
    member: Membership | None  # None: the user is not in the room
    identity: int  # the message's id; -1 when unknown
    at: int
    reference: (
        int  # reordered: id of the message it came after; corrupt: its key as `-key`, or the one before
    )
    detail: str
    raw: bytes
    context: tuple[Note, ...]
    token: bytes = b""  # of a message that came with a damaged one


class Findings:
    """All findings, in the order in which they were made; `limit` of them with frames, of each kind some."""

    def __init__(self, limit: int) -> None:
        self.counts: Counter[str] = Counter()  # by kind
        self._limit = limit
        self._all: list[Finding] = []
        self._kept: defaultdict[str, list[int]] = defaultdict(list)  # places of those with frames, by kind

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def add(self, finding: Finding) -> None:
        """Add a finding, without its frames if there is no place for them."""
        self.counts[finding.kind] += 1
        if self._make_place(finding.kind):
            self._kept[finding.kind].append(len(self._all))
            self._all.append(finding)
        else:
            self._all.append(_without_frames(finding))

    def _make_place(self, kind: str) -> bool:
        """Whether there is place for one of this kind: perhaps one that a kind with more of them gives up."""
        if sum(map(len, self._kept.values())) < self._limit:
            return True
        most = max(self._kept.values(), key=len)
        if len(most) <= len(self._kept[kind]) + 1:
            return False
        place = most.pop()
        self._all[place] = _without_frames(self._all[place])
        return True


def _without_frames(finding: Finding) -> Finding:
    return finding._replace(raw=b"", context=())


class Skip(NamedTuple):
    """What a membership received before and after a message that it went past, and its notes of then."""

    before: Note | None
    after: Note
    context: tuple[Note, ...]
