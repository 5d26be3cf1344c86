"""What the audit keeps about subscribers, and what it writes down when a rule is broken."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from rtcli.load.audit.entry import Entry
from rtcli.load.audit.membership import Membership
from rtcli.protocol.position import Position

_KEPT_NOTES = 12


class Note(NamedTuple):
    """Something that a subscriber saw or did lately, kept for evidence: a frame in or out, or a remark."""

    at: int
    direction: str  # in, out, note
    text: bytes


class Subscriber:
    """A user as the audit knows it: the rooms that it is in, and what happened to it lately."""

    __slots__ = ("connection", "counted", "is_known", "memberships", "name", "notes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection = ""  # the id of the connection, as the server gave it
        self.counted = 0  # deliveries that were not accounted for by comparing bytes
        self.is_known = False  # it has been in a room
        self.memberships: dict[str, Membership] = {}
        self.notes: deque[Note] = deque(maxlen=_KEPT_NOTES)

    def note(self, at: int, text: str) -> None:
        """Keep a remark for evidence."""
        self.notes.append(Note(at, "note", text.encode()))


class Delivery(NamedTuple):
    """A message as it came to a subscriber.

    `token` is the 32 bytes from the mark on, `room` what the envelope says (None: nothing). `frame`
    or `text` are given when they hold this one message, so that later deliveries can be compared whole.
    """

    user: Subscriber
    room: str | None
    token: bytes
    position: Position | None
    now: int
    raw: bytes
    frame: bytes | None = None
    text: str | None = None


class Finding(NamedTuple):
    """A delivery that broke a rule, as it was seen."""

    kind: str
    user: str
    room: str
    connection: str
    member: Membership | None  # None: the user was not in the room
    identity: int  # of the message; -1 when it cannot be told
    at: int
    reference: int  # reordered: id of the message it came after; corrupt: the key reached before it
    detail: str
    raw: bytes
    context: tuple[Note, ...]


class Skip(NamedTuple):
    """What a membership saw when it passed a message over: what came before, and what came instead."""

    at: int
    before: Entry
    raw: bytes
    context: tuple[Note, ...]
