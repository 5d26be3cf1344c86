"""What a world records: messages, what is on its way to a user, stays in rooms."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

from rtcli.load.audit.audit import Audit
from rtcli.load.audit.membership import Membership
from rtcli.load.audit.records import Subscriber
from rtcli.load.audit.sender_log import SenderLog

PATIENCE = 50
Named = Counter[tuple[str, str, str, str]]
"""(kind, subscriber, room, message), counted."""


@dataclass
class Message:
    """One message, as the world knows it."""

    name: str
    room: str
    token: bytes
    log: SenderLog
    number: int
    sent: int
    text: str = ""  # token included
    offset: int = 0
    acked: int | None = None
    failed: bool = False
    first_seen: int | None = None


@dataclass
class Item:
    """Something on its way to a user."""

    kind: Literal["data", "joined", "left", "resumed", "declared", "ack", "error"]
    room: str
    message: Message | None = None
    token: bytes = b""
    offset: int = 0
    text: str = ""


@dataclass
class Stay:
    """A stay in a room, as the recorder keeps it: `seen` are messages with the time, in order of arrival."""

    user: str
    room: str
    member: Membership
    joined: int | None = None
    leaving: int | None = None
    ended: int | None = None
    end: str = "open"
    lost: int | None = None
    seen: list[tuple[Message, int]] = field(default_factory=list)
    outages: list[tuple[int, int, int]] = field(default_factory=list)  # highest offset seen, lost, back
    spoilt: set[str] = field(default_factory=set)  # messages that came damaged
    top: int = 0  # the highest offset seen
    start: int = 0  # the highest offset that anybody had seen when it was in
    since: int = 0  # where the log stood when the server took the subscriber in


class Person:
    """A user: the way to it, and where it stands."""

    def __init__(self, name: str, audit: Audit) -> None:
        self.name = name
        self.audit = audit  # of its worker
        self.subscriber = Subscriber(name)
        self.way: deque[Item] = deque()
        self.connected = True
        self.stays: dict[str, Stay] = {}
        self.wanted: set[str] = set()  # rooms that it is in, on the server's side
        self.logs: dict[str, SenderLog] = {}
        self.held: dict[str, list[Item]] = {}  # kept back, to be swapped with what follows
